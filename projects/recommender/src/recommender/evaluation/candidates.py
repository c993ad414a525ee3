"""The comparison of all candidates on the validation part, and of the baselines on the test."""

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.tables import Column
from portfolio_shared.results import Candidate
from recommender.config import MAX_USERS, HistorySettings, ModelSettings
from recommender.data.splits import Split
from recommender.evaluation.evaluate import LONGEST, Evaluation, measure
from recommender.evaluation.task import Task, lists_for, make_task
from recommender.models import fit
from recommender.models.fit import POPULARITY, SERVABLE, Recipe, Scorer, recipes
from recommender.models.history_weights import HistoryWeights

COLUMNS = (
    Column("ndcg", "nDCG", ".4f"),
    Column("fit_seconds", "fit, s", ".2f"),
    Column("model_megabytes", "model, MB", ",.1f"),
    Column("score_milliseconds", "scoring, ms", ".2f"),
)
LATENCY_FILMS, LATENCY_REPEATS = 50, 100


# OpenMP and BLAS threads wait for each other in a busy loop: on cores that something else uses too, two threads were
# seen to take 40 times as long as one.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    k: int = 10,
    max_users: int = MAX_USERS,
    threads: int = 1,
    advance: Callable[[str], None] = lambda _: None,
    log: Callable[[Candidate[Scorer]], None] = lambda _: None,
) -> dict[str, Candidate[Scorer]]:
    """Fit every candidate on the training part and measure it on the validation part; the highest nDCG comes first.

    The metrics are means over users; `ndcg_low` and `ndcg_high` bound the 95 % interval. `fit_seconds` are those of
    the clock, `model_megabytes` the arrays of the fitted model, `score_milliseconds` the median over repeats of
    scoring all films for one history of 50. `log` is called with each candidate as soon as it is measured, `advance`
    with its name.
    """
    task = make_task(split.train, split.validation, split.catalogue, max_users=max_users, seed=seed)
    candidates = []
    tried = recipes(settings, split.before_test, task.catalogue, seed=seed, threads=threads)
    for name, recipe, model, seconds in _fitted(tried, task):
        candidates.append(measure_candidate(name, model, task, weigh=recipe.weigh, k=k, seed=seed, seconds=seconds))
        log(candidates[-1])
        advance(name)
    return {candidate.name: candidate for candidate in sorted(candidates, key=lambda c: -c.metrics["ndcg"])}


def measure_candidate(
    name: str, model: Scorer, task: Task, *, weigh: HistoryWeights, k: int, seed: int, seconds: float
) -> Candidate[Scorer]:
    """Measure a model that a fit of so many seconds left, as `compare` says."""
    evaluation = measure(lists_for(model, task, k=LONGEST, weigh=weigh), task, k=k, seed=seed, n_resamples=200)
    ndcg = evaluation.metric("ndcg")
    metrics = {
        **{metric: evaluation.metric(metric).estimate for metric in evaluation.per_user},
        "ndcg_low": ndcg.low,
        "ndcg_high": ndcg.high,
        "coverage": evaluation.coverage,
        "fit_seconds": seconds,
        "model_megabytes": _bytes(model) / 1e6,
        "score_milliseconds": _latency(model, task, weigh) * 1e3,
    }
    return Candidate(name, metrics, model, servable=name in SERVABLE)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def evaluate_baselines(
    split: Split,
    settings: ModelSettings,
    candidates: Mapping[str, Candidate[Scorer]],
    *,
    seed: int = 0,
    k: int = 10,
    max_users: int = MAX_USERS,
    threads: int = 1,
    advance: Callable[[str], None] = lambda _: None,
) -> dict[str, Evaluation]:
    """Fit these candidates on everything but the test and measure them on it, by name."""
    task = make_task(split.before_test, split.test, split.catalogue, max_users=max_users, seed=seed)
    tried = recipes(settings, split.before_test, task.catalogue, seed=seed, threads=threads)
    evaluations = {}
    for name, recipe, model, _ in _fitted({name: tried[name] for name in tried if name in candidates}, task):
        lists = lists_for(model, task, k=LONGEST, weigh=recipe.weigh)
        evaluations[name] = measure(lists, task, k=k, seed=seed)
        advance(name)
    return evaluations


def choose(candidates: Mapping[str, Candidate[Scorer]]) -> str:
    """Return the name of the candidate with the highest nDCG among those that can be served, see `best_servable`."""
    return best_servable({name: candidate.metrics["ndcg"] for name, candidate in candidates.items()})


def best_servable(ndcg: Mapping[str, float]) -> str:
    """Return which of the candidates, by name with their nDCG, is the best that can be served.

    Raises
    ------
    ValueError
        If none of them can be, or if the best of them is no better than popular films for everybody.
    """
    served = [name for name in SERVABLE if name in ndcg]
    if not served:
        raise ValueError(f"none of {', '.join(ndcg)} can be served; expected one of {', '.join(SERVABLE)}")
    best = max(served, key=lambda name: ndcg[name])
    if POPULARITY in ndcg and ndcg[best] <= ndcg[POPULARITY]:
        raise ValueError(
            f"{best} reaches an nDCG of {ndcg[best]:.4f} and popular films {ndcg[POPULARITY]:.4f}: nothing is worth "
            "serving with these settings on these data; see docs/size.md of the project"
        )
    return best


def describe_settings(name: str, settings: ModelSettings) -> str:
    """Return the hyper-parameters of a candidate of these settings in words."""
    baselines, ease, als = settings.baselines, settings.ease, settings.als
    factors = f"{als.n_factors} factors, regularization {als.regularization:g}, alpha {als.alpha:g}"
    served = (
        f"penalty {ease.penalty:g}, genres {ease.genre_weight:g}, years {ease.year_weight:g}, length exponent "
        f"{ease.length_exponent:g}, films of {ease.min_raters} people, rank {ease.rank or 'full'}"
    )
    return {
        POPULARITY: "none",
        fit.USERS: f"{baselines.user_neighbors} neighbors",
        fit.ITEMS: f"{baselines.item_neighbors} neighbors",
        fit.ALS: factors,
        fit.ALS_RECENT: f"{factors}, films of {ease.min_raters} people; {describe_history(settings.history)}",
        fit.EASE: f"penalty {baselines.ease_penalty:g}",
        fit.FULL: f"{served}; {describe_history(settings.history)}",
    }[name]


def describe_history(history: HistorySettings) -> str:
    """Return in words how a history of these settings is weighed."""
    recency = f"half-life {history.half_life_share:.0%} of the history, at least {history.half_life_films:g} films"
    stars = f"{history.rating_slope:g} a star" if history.rating_slope else "no stars"
    return f"{recency if history.half_life_share > 0 else 'not weighted by recency'}, {stars}"


def _fitted(tried: Mapping[str, Recipe], task: Task) -> Iterator[tuple[str, Recipe, Scorer, float]]:
    """Fit each model on the histories of a task; yield its name, recipe, what was fitted and the seconds."""
    X = task.before.matrix()
    for name, recipe in tried.items():
        started = time.perf_counter()
        model = recipe.fit(X)
        yield name, recipe, model, time.perf_counter() - started


def _bytes(model: Scorer) -> int:
    """Return the size of a model's arrays; what it derives from them on first use does not count."""
    total = 0
    for value in (getattr(model, name) for name in model.__dataclass_fields__):  # type: ignore[attr-defined]
        parts = (value.data, value.indices, value.indptr) if isinstance(value, sp.csr_array) else (value,)
        total += sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
    return total


def _latency(model: Scorer, task: Task, weigh: HistoryWeights) -> float:
    """Return the median seconds of scoring all films for the 50 films that most people rated."""
    items = np.sort(np.argsort(-task.catalogue.n_ratings, kind="stable")[:LATENCY_FILMS])
    weights = weigh(np.full(len(items), np.nan))
    seconds = []
    for _ in range(LATENCY_REPEATS):
        started = time.perf_counter()
        model.scores(items, weights)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
