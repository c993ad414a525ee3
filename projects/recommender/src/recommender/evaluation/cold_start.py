"""How good lists are for people who were not in the training data and come with a few films only."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from portfolio_shared.data.splits import group_folds
from portfolio_shared.evaluation.ranking import EMPTY, ndcg_at_k
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.evaluation.task import Ints, Task, judge_lists
from recommender.models.fit import Recipe
from recommender.models.popularity import fit_popularity
from recommender.models.top_k import best

HISTORY_LENGTHS = (1, 2, 3, 5, 10, 20, 35, 50)
FOLDS = 5


@dataclass(frozen=True)
class ColdStart:
    """How good lists are for the last `films` films of histories of people the model has never seen.

    `difference` is the nDCG of the model minus that of popular films, on the same people: above 0 the model is better.
    """

    films: int
    ndcg: Interval
    popularity: Interval
    difference: Interval


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_cold_start(
    task: Task, recipe: Recipe, *, k: int, seed: int, advance: Callable[[str], None]
) -> list[ColdStart]:
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
    lists = np.full((1 + len(HISTORY_LENGTHS), len(users), k), EMPTY, dtype=np.int64)
    for number in range(FOLDS):
        rows = np.flatnonzero(fold == number)
        lists[:, rows] = _lists_of_new_users(task, recipe, users[rows], k, advance)
    popularity, *ndcgs = (ndcg_at_k(judge_lists(of_length, users, task.hidden), k) for of_length in lists)
    return [
        # Of differences between two models on the same users, the interval of the mean is the paired one.
        ColdStart(films, *(bootstrap_interval(np.mean, values) for values in (ndcg, popularity, ndcg - popularity)))
        for films, ndcg in zip(HISTORY_LENGTHS, ndcgs, strict=True)
    ]


def _lists_of_new_users(task: Task, recipe: Recipe, users: Ints, k: int, advance: Callable[[str], None]) -> Ints:
    """Fit on everybody else; return popular films and the lists of each length, shape (1 + n_lengths, n_users, k)."""
    X = task.before.where(~np.isin(task.before.users, users)).matrix()
    model, popularity = recipe.fit(X), fit_popularity(X)
    lists = np.full((1 + len(HISTORY_LENGTHS), len(users), k), EMPTY, dtype=np.int64)
    for place, length in enumerate((0, *HISTORY_LENGTHS)):
        for row, user in enumerate(users):
            items, stars = task.history(int(user))
            recent = slice(len(items) - length, None)
            weights = recipe.weigh(stars[recent])
            scores = model.scores(items[recent], weights) if length else popularity.scores(items, weights)
            scores[items] = -np.inf
            recommended = best(scores, k)
            lists[place, row, : len(recommended)] = recommended
        advance(f"{length} films")
    return lists
