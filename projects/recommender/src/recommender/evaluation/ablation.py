"""The served model taken apart: what each step from plain EASE bought, and what the whole is without one thing each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.config import EaseSettings, HistorySettings, ModelSettings
from recommender.data.splits import Split
from recommender.evaluation.evaluate import Evaluation, accuracy, recommend_all
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import ALS_RECENT, fit_full
from recommender.models.history_weights import HistoryWeights
from recommender.models.predictor import Predictor

RANKS = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Step:
    """One row of the ablation: nDCG on the validation part, with its interval over users."""

    name: str
    ndcg: Interval


def steps_of(settings: ModelSettings) -> dict[str, tuple[EaseSettings, HistorySettings]]:
    """Return the steps from plain EASE to the served model, and the served model without one thing each."""
    ease, history = settings.ease, settings.history
    plain = EaseSettings(
        penalty=ease.penalty, genre_weight=0, year_weight=0, length_exponent=0, min_raters=1, rank=None
    )
    flat = HistorySettings(half_life_share=0, rating_slope=0)
    recent = history.model_copy(update={"rating_slope": 0.0})
    featured = plain.model_copy(update={"genre_weight": ease.genre_weight, "year_weight": ease.year_weight})
    rated = featured.model_copy(update={"min_raters": ease.min_raters})
    balanced = rated.model_copy(update={"length_exponent": ease.length_exponent})
    return {
        f"EASE, penalty {ease.penalty:g}": (plain, flat),
        "+ recency weights": (plain, recent),
        "+ stars": (plain, history),
        "+ genres and years": (featured, history),
        f"+ only films that {ease.min_raters} people rated": (rated, history),
        "+ long histories count less": (balanced, history),
        f"+ rank {ease.rank} (the whole model)": (ease, history),
        "whole, without recency weights": (ease, history.model_copy(update={"half_life_share": 0.0})),
        "whole, without stars": (ease, recent),
        "whole, without genres and years": (_without(ease, genre_weight=0.0, year_weight=0.0), history),
        "whole, with films that one person rated": (_without(ease, min_raters=1), history),
        "whole, all histories alike": (_without(ease, length_exponent=0.0), history),
        **{f"whole, rank {rank}": (_without(ease, rank=rank), history) for rank in RANKS if rank != ease.rank},
    }


def _without(ease: EaseSettings, **changes: float | None) -> EaseSettings:
    return ease.model_copy(update=changes)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def ablate(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    k: int = 10,
    advance: Callable[[str], None] = lambda _: None,
) -> list[Step]:
    """Fit every step on the training part and measure it on the validation part."""
    task = make_task(split.train, split.validation, split.catalogue, seed=seed)
    X, steps = task.before.matrix(), []
    for name, (ease, history) in steps_of(settings).items():
        model = fit_full(X, task.catalogue, ease, seed=seed)
        lists = lists_for(model, task, k=k, weigh=HistoryWeights(**history.model_dump()))
        steps.append(Step(name, bootstrap_interval(np.mean, accuracy(lists, task, k=k)["ndcg"])))
        advance(name)
    return steps


@dataclass(frozen=True)
class Fading:
    """The nDCG on the test with a fading history and with all films of a history alike, and their paired difference."""

    fading: Interval
    even: Interval
    difference: Interval


def measure_fading(predictor: Predictor, evaluation: Evaluation, *, seed: int = 0) -> Fading:
    """Ask the predictor again with no recency in its weights; the fit, which knows no order, stays the same."""
    even = replace(predictor, weigh=replace(predictor.weigh, half_life_share=0.0))
    lists = recommend_all(even, evaluation.task)
    without = accuracy(lists, evaluation.task, k=evaluation.k)["ndcg"]
    fading = evaluation.per_user["ndcg"]
    values = (fading, without, fading - without)  # the interval of the mean difference is the paired one
    return Fading(*(bootstrap_interval(np.mean, value, seed=seed) for value in values))


@dataclass(frozen=True)
class Alike:
    """EASE with no more than the recency-weighted ALS knows, on the test: its nDCG, and its lead on the same people."""

    ndcg: Interval
    lead: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_alike(evaluation: Evaluation, settings: ModelSettings, *, seed: int = 0) -> Alike:
    """Fit the served EASE without genres and years; recency, stars and the films left out are those of ALS already."""
    task, plain = evaluation.task, _without(settings.ease, genre_weight=0.0, year_weight=0.0)
    model = fit_full(task.before.matrix(), task.catalogue, plain, seed=seed)
    lists = lists_for(model, task, k=evaluation.k, weigh=HistoryWeights(**settings.history.model_dump()))
    ndcg = accuracy(lists, task, k=evaluation.k)["ndcg"]
    rival = evaluation.baselines[ALS_RECENT].per_user["ndcg"]
    return Alike(*(bootstrap_interval(np.mean, values, seed=seed) for values in (ndcg, ndcg - rival)))
