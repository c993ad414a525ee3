"""From scores to lists: the best unseen films of one user, and the lists of all users that are evaluated."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation.ranking import EMPTY
from recommender.history import HistoryWeights
from recommender.ratings import Ratings


class Scorer(Protocol):
    """Any of the models: a score for every film, given the films of a history and their weights."""

    def scores(self, items: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one score per film, higher is better."""
        ...


def best(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Return the k highest scores' positions, best first; equal scores in order of position.

    Positions that score ``-inf`` are never returned, so there may be fewer than k.

    Examples
    --------
    >>> best(np.array([1.0, 3.0, -np.inf, 3.0]), k=3)
    array([1, 3, 0])
    >>> best(np.array([-np.inf, 2.0]), k=2)
    array([1])
    """
    if k < len(scores):
        # Everything not below the k-th best: a few more than k where scores are equal.
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[scores[candidates] > -np.inf]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]


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
