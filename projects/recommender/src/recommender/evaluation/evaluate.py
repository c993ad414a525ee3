"""Lists for all users whose later ratings were hidden, and how well they meet them."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.ranking import (
    EMPTY,
    Judged,
    catalogue_coverage,
    intra_list_diversity,
    judge,
    novelty,
    popularity_lift,
    ranking_metrics,
)
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.splits import evaluated_users
from recommender.models.history_weights import HistoryWeights
from recommender.models.predictor import Predictor, Seen
from recommender.models.top_k import best

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Band = tuple[Floats, Floats, Floats]
"""A line and what lies below and above it: mean, low, high, each of one shape."""

LONGEST = 50  # length of the lists that are made; metrics look at their first k places

METRIC_LABELS = {
    "ndcg": "nDCG@{k}",
    "precision": "precision@{k}",
    "recall": "recall@{k}",
    "map": "MAP@{k}",
    "mrr": "MRR@{k}",
    "hit_rate": "hit rate@{k}",
    "novelty": "novelty, bits",
    "diversity": "diversity of genres",
    "popularity_lift": "popularity lift",
    "coverage": "share of films recommended",
}


class Scorer(Protocol):
    """Any of the models: a score for every film, given the films of a history and their weights."""

    def scores(self, items: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one score per film, higher is better."""
        ...


def lists_for(
    model: Scorer, before: Ratings, users: NDArray[np.int64], *, k: int, weigh: HistoryWeights
) -> NDArray[np.int64]:
    """Recommend for users by their histories, each as if they had just arrived.

    Parameters
    ----------
    model
        Fitted on ratings that do not contain what will be looked for.
    before
        Histories; what is in them is never recommended.
    users
        Shape (n,): whom to recommend to.
    k
        Length of the lists.
    weigh
        How a history is weighed.

    Returns
    -------
    ndarray of int64, shape (n, k)
        Items, best first, -1 where there are too few.
    """
    offsets = before.offsets()
    lists = np.full((len(users), k), EMPTY, dtype=np.int64)
    for row, user in enumerate(users):
        history = slice(offsets[user], offsets[user + 1])
        items = before.items[history]
        scores = model.scores(items, weigh(before.values[history]))
        scores[items] = -np.inf
        found = best(scores, k)
        lists[row, : len(found)] = found
    return lists


def judge_lists(lists: NDArray[np.int64], users: NDArray[np.int64], hidden: Ratings) -> Judged:
    """Compare lists with what was hidden; any rating makes a film relevant, whatever its stars.

    Parameters
    ----------
    lists
        Shape (n, k), from `lists_for`.
    users
        Shape (n,): the user of each list, each with at least one hidden rating.
    hidden
        Ratings that the model did not see; those of other users are not looked at.
    """
    row = np.full(hidden.n_users, -1)
    row[users] = np.arange(len(users))
    of_users = row[hidden.users] >= 0
    return judge(lists, row[hidden.users[of_users]], hidden.items[of_users])


@dataclass(frozen=True)
class Task:
    """Whose histories are to be continued, and with what.

    Attributes
    ----------
    before
        What models are fitted on, and the histories.
    hidden
        What comes after; a model must not have seen it.
    users
        Shape (n,): who is evaluated, in ascending order.
    catalogue
        The films, counted in `before` alone: how often a film is rated later is no business of a model's.
    """

    before: Ratings
    hidden: Ratings
    users: Ints
    catalogue: Catalogue

    @property
    def keys(self) -> list[str]:
        """One "user:film" per hidden rating of an evaluated user, by position of the user and id of the film."""
        films = self.catalogue.films
        rows = np.isin(self.hidden.users, self.users)
        pairs = zip(self.hidden.users[rows].tolist(), self.hidden.items[rows].tolist(), strict=True)
        return [f"{user}:{films[item].id}" for user, item in pairs]

    @property
    def digest(self) -> str:
        """SHA-256 that names what is looked for: models with the same one were tested on the same pairs."""
        return split_digest(self.keys)


def make_task(
    before: Ratings, hidden: Ratings, catalogue: Catalogue, *, max_users: int | None = None, seed: int = 0
) -> Task:
    """Return the task of continuing `before` with `hidden`, for all users that can be evaluated or a draw of them.

    Raises
    ------
    ValueError
        If fewer than two users can be evaluated.
    """
    users = evaluated_users(before, hidden)
    if len(users) < 2:
        raise ValueError(f"{len(users)} users can be evaluated, and an interval needs at least two: use more data")
    if max_users is not None and len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, size=max_users, replace=False))
    counts = before.item_counts().tolist()
    counted = Catalogue(tuple(replace(film, n_ratings=n) for film, n in zip(catalogue.films, counts, strict=True)))
    return Task(before, hidden, users, counted)


@dataclass(frozen=True)
class Evaluation:
    """What the hidden ratings say about one model's lists.

    Attributes
    ----------
    k
        Length of the lists that the metrics look at.
    lists
        Shape (n_users, LONGEST): items, best first, -1 where there are too few.
    per_user
        Metric -> one value for each user of the task, shape (n_users,).
    metrics
        Metric -> mean over users with its 95 % bootstrap interval over them. A user without a hit counts as zero.
    coverage
        Share of all films that stand in at least one list; no interval, because a resample of users has fewer.
    """

    k: int
    lists: Ints
    per_user: dict[str, Floats]
    metrics: dict[str, Interval]
    coverage: float

    @property
    def at_k(self) -> dict[str, Interval]:
        """The metrics under names that say how long the lists are, such as ``ndcg_at_10``."""
        return {f"{name}_at_{self.k}": interval for name, interval in self.metrics.items()}


def evaluate(lists: Ints, task: Task, *, k: int, seed: int = 0, n_resamples: int = 1000) -> Evaluation:
    """Measure the first k places of lists, shape (n_users, at least k), in the order of the task's users."""
    counts, n_users = task.before.item_counts(), task.before.n_users
    first = lists[:, :k]
    row = np.full(n_users, -1)
    row[task.users] = np.arange(len(task.users))
    profile = row[task.before.users] >= 0
    per_user = {
        **accuracy(lists, task, k=k),
        "novelty": novelty(first, counts, n_users),
        "diversity": intra_list_diversity(first, task.catalogue.genres.astype(np.float64)),
        "popularity_lift": popularity_lift(
            first, counts, n_users, row[task.before.users[profile]], task.before.items[profile]
        ),
    }
    return Evaluation(
        k=k,
        lists=lists,
        per_user=per_user,
        metrics={
            name: bootstrap_interval(np.mean, values, seed=seed, n_resamples=n_resamples)
            for name, values in per_user.items()
        },
        coverage=catalogue_coverage(first, len(task.catalogue)),
    )


# Two BLAS threads that wait for each other were seen to take 100 ms for what one does in 1, on busy cores.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def recommend_all(predictor: Predictor, task: Task, *, k: int = LONGEST, diversity: float = 0.0) -> Ints:
    """Ask the served model for a list for each user of the task, as the API would; shape (n_users, k).

    The predictor may have other films than the task: what it does not know of a history it cannot use, and what it
    recommends beyond the task's films stands in the list as a number past its last item, which is never relevant.
    """
    catalogue, before = task.catalogue, task.before
    ids = [film.id for film in catalogue.films]
    offsets = before.offsets()
    lists = np.full((len(task.users), k), EMPTY, dtype=np.int64)
    for row, user in enumerate(task.users):
        rows = slice(offsets[user], offsets[user + 1])
        pairs = zip(before.items[rows].tolist(), before.values[rows].tolist(), strict=True)
        history = [Seen(ids[item], stars) for item, stars in pairs]
        answer = predictor.recommend(history, k=k, diversity=diversity, n_reasons=0)
        found = [
            catalogue.position.get(one.film.id, len(ids) + place) for place, one in enumerate(answer.recommendations)
        ]
        lists[row, : len(found)] = found
    return lists


def accuracy(lists: Ints, task: Task, *, k: int) -> dict[str, Floats]:
    """Return each metric of what was found in the first k places, one value a user; films may be beyond the task's."""
    found = ranking_metrics(judge_lists(lists, task.users, task.hidden), k)
    return {name: found[name] for name in METRIC_LABELS if name in found}


def compare_ndcg(challenger: Floats, champion: Floats, *, seed: int = 0) -> PairedComparison:
    """Compare two models by the nDCG of the same users, shape (n_users,) each; below 0 the challenger is better."""
    return paired_bootstrap(_mean_shortfall, np.ones(len(champion)), champion, challenger, seed=seed)


def _mean_shortfall(ideal: Floats, found: Floats) -> float:
    return float(np.mean(ideal - found))
