"""Lists for all users whose later ratings were hidden, and how well they meet them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation.ranking import EMPTY, Judged, judge
from recommender.choose import best
from recommender.history import HistoryWeights
from recommender.ratings import Ratings


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
