"""The served model taken apart: what each step bought, what turning its knob does, and how it starts from nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portfolio_shared.data.splits import group_folds
from portfolio_shared.evaluation.ranking import EMPTY, ndcg_at_k
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.config import EaseSettings, HistorySettings, ModelSettings
from recommender.evaluation.candidates import Recipe, fit_full
from recommender.evaluation.evaluate import Floats, Ints, Task, evaluate, judge_lists, lists_for, recommend_all
from recommender.models.popularity import fit_popularity
from recommender.models.predictor import Predictor
from recommender.models.top_k import best

DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
HISTORY_LENGTHS = (1, 2, 3, 5, 10, 20, 35, 50)
RANKS = (32, 64, 128, 256, 512)
FOLDS = 5


@dataclass(frozen=True)
class Step:
    """One row of the ablation: nDCG on the validation part, with its interval over users."""

    name: str
    ndcg: Interval


@dataclass(frozen=True)
class Turn:
    """What the lists of the test are like with the diversity knob at one value."""

    diversity: float
    ndcg: Interval
    intra_list: Interval
    coverage: float


@dataclass(frozen=True)
class Start:
    """How good lists are for the last `films` films of histories of people the model has never seen.

    `difference` is the nDCG of the model minus that of popular films, on the same people: above 0 the model is better.
    """

    films: int
    ndcg: Interval
    popularity: Interval
    difference: Interval


def steps_of(settings: ModelSettings) -> dict[str, ModelSettings]:
    """Return the steps from plain EASE to the served model, and the served model without one thing each."""
    ease, history = settings.ease, settings.history
    plain = EaseSettings(
        penalty=ease.penalty, genre_weight=0, year_weight=0, length_exponent=0, min_raters=1, rank=None
    )
    flat = HistorySettings(half_life_share=0, rating_slope=0)
    fading = history.model_copy(update={"rating_slope": 0.0})
    featured = plain.model_copy(update={"genre_weight": ease.genre_weight, "year_weight": ease.year_weight})
    rated = featured.model_copy(update={"min_raters": ease.min_raters})
    balanced = rated.model_copy(update={"length_exponent": ease.length_exponent})
    built = {
        f"EASE, penalty {ease.penalty:g}": (plain, flat),
        "+ a history that fades": (plain, fading),
        "+ stars": (plain, history),
        "+ genres and years": (featured, history),
        f"+ only films that {ease.min_raters} people rated": (rated, history),
        "+ long histories count less": (balanced, history),
        f"+ rank {ease.rank} (the whole model)": (ease, history),
        "whole, without fading": (ease, history.model_copy(update={"half_life_share": 0.0})),
        "whole, without stars": (ease, fading),
        "whole, without genres and years": (_without(ease, genre_weight=0.0, year_weight=0.0), history),
        "whole, with films that one person rated": (_without(ease, min_raters=1), history),
        "whole, all histories alike": (_without(ease, length_exponent=0.0), history),
        **{f"whole, rank {rank}": (_without(ease, rank=rank), history) for rank in RANKS if rank != ease.rank},
    }
    return {
        name: settings.model_copy(update={"ease": changed, "history": weighed})
        for name, (changed, weighed) in built.items()
    }


def _without(ease: EaseSettings, **changes: float | None) -> EaseSettings:
    return ease.model_copy(update=changes)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def ablate(
    task: Task, settings: ModelSettings, *, k: int, seed: int = 0, advance: Callable[[str], None] = lambda _: None
) -> list[Step]:
    """Fit every step on the training part and measure it on the validation part."""
    X, steps = task.before.matrix(), []
    for name, changed in steps_of(settings).items():
        model = fit_full(X, task.catalogue, changed.ease, seed=seed)
        lists = lists_for(model, task.before, task.users, k=k, weigh=changed.history.weights())
        steps.append(Step(name, _interval(_ndcg_per_user(lists, task, task.users, k))))
        advance(name)
    return steps


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def turn_knob(
    predictor: Predictor, task: Task, *, k: int, advance: Callable[[str], None] = lambda _: None
) -> list[Turn]:
    """Measure the served lists of the test at each of `DIVERSITIES`."""
    turns = []
    for diversity in DIVERSITIES:
        found = evaluate(recommend_all(predictor, task, k=k, diversity=diversity), task, k=k)
        turns.append(Turn(diversity, found.metrics["ndcg"], found.metrics["diversity"], found.coverage))
        advance(f"diversity {diversity:g}")
    return turns


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def start_from_nothing(
    task: Task, recipe: Recipe, *, k: int, seed: int = 0, advance: Callable[[str], None] = lambda _: None
) -> list[Start]:
    """Measure short histories of people who are not in the training data.

    The users are dealt into folds. For each, the model is fitted on everybody else, and its users come with the last
    few films of their histories only. What they rated before that stays out of their lists, as nobody is looking for
    it. Every length is measured on the same users: those with at least as many films as the longest.
    """
    users = task.users[task.before.user_counts()[task.users] >= HISTORY_LENGTHS[-1]]
    if len(users) < FOLDS:
        raise ValueError(
            f"{len(users)} users have {HISTORY_LENGTHS[-1]} films before the test; expected {FOLDS} or more"
        )
    fold = group_folds([str(user) for user in users], n_folds=FOLDS, seed=seed)
    lengths = (0, *HISTORY_LENGTHS)
    lists = np.full((len(lengths), len(users), k), EMPTY, dtype=np.int64)
    for number in range(FOLDS):
        new = np.flatnonzero(fold == number)
        X = task.before.where(~np.isin(task.before.users, users[new])).matrix()
        model, popularity = recipe.fit(X), fit_popularity(X)
        for place, length in enumerate(lengths):
            for row in new:
                items, stars = _history(task, int(users[row]))
                recent = slice(len(items) - length, None)
                weights = recipe.weigh(stars[recent])
                scores = model.scores(items[recent], weights) if length else popularity.scores(items, weights)
                scores[items] = -np.inf
                found = best(scores, k)
                lists[place, row, : len(found)] = found
            advance(f"{length} films")
    popular, *measured = (_ndcg_per_user(one, task, users, k) for one in lists)
    return [
        Start(films, _interval(ndcg), _interval(popular), _interval(ndcg - popular))
        for films, ndcg in zip(HISTORY_LENGTHS, measured, strict=True)
    ]


def _history(task: Task, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    rows = slice(*task.before.offsets()[user : user + 2])
    return task.before.items[rows], task.before.values[rows]


def _ndcg_per_user(lists: Ints, task: Task, users: Ints, k: int) -> Floats:
    return ndcg_at_k(judge_lists(lists, users, task.hidden), k)


def _interval(values: Floats) -> Interval:
    """Return the mean over users; of differences between two models on the same users, it is the paired interval."""
    return bootstrap_interval(np.mean, values)


@dataclass(frozen=True)
class Group:
    """How good the lists are for some of the users of the test."""

    by: str
    name: str
    users: int
    ndcg: float
    hit_rate: float


def by_group(ndcg: Floats, hits: Floats, task: Task) -> list[Group]:
    """Return the quality by length of history, by time since it, and by how rare the hidden films are.

    Parameters
    ----------
    ndcg, hits
        Shape (n_users,) each: nDCG and hit rate of the task's users.
    """
    before, hidden, users = task.before, task.hidden, task.users
    last = before.times[before.offsets()[1:][users] - 1]
    first = hidden.times[hidden.offsets()[:-1][users]]
    raters = before.item_counts()
    common = np.bincount(hidden.users, weights=raters[hidden.items] >= 5, minlength=hidden.n_users)
    share = common[users] / hidden.user_counts()[users]
    lengths = before.user_counts()[users]
    day = 24 * 3600.0
    kinds: list[tuple[str, Floats, Sequence[float], Sequence[str]]] = [
        (
            "films in the history",
            lengths.astype(np.float64),
            (30, 60, 150),
            ("under 30", "30 to 59", "60 to 149", "150 and more"),
        ),
        (
            "from the last film to the test",
            (first - last).astype(np.float64),
            (3600.0, day, 30 * day),
            ("under an hour", "under a day", "under 30 days", "30 days and more"),
        ),
        (
            "share of the hidden films that 5 people had rated",
            share,
            (0.5, 0.8, 0.95),
            ("under half", "under 80 %", "under 95 %", "95 % and more"),
        ),
    ]
    return [
        Group(by, name, int(rows.sum()), float(ndcg[rows].mean()), float(hits[rows].mean()))
        for by, values, edges, names in kinds
        for number, name in enumerate(names)
        if (rows := np.searchsorted(edges, values, side="right") == number).any()
    ]
