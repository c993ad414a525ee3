"""What kind of lists are recommended, whatever is relevant: coverage, novelty, diversity and popularity bias.

Lists are those of `ranking.judge`: item numbers, best first, filled up with -1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.ranking import EMPTY, check_lists, check_numbers

USERS_AT_ONCE = 65_536  # bounds the memory of what is computed per position and feature


def catalogue_coverage(recommended: ArrayLike, n_items: int) -> float:
    """Share of the catalogue that appears in at least one list, 0 to 1; higher means fewer items are never shown.

    It grows with the number of users and with the length of the lists: compare equal numbers only
    (Ge, Delgado-Battenfeld and Jannach 2010, section 3.1; Herlocker et al. 2004, section 4.2).

    Examples
    --------
    >>> catalogue_coverage([[7, 3], [3, -1]], n_items=8)
    0.25
    """
    lists = check_lists(recommended)
    _check_range(lists, n_items)
    return float(len(np.unique(lists[lists != EMPTY])) / n_items)


def novelty(recommended: ArrayLike, item_users: ArrayLike, n_users: int) -> NDArray[np.float64]:
    """Mean self-information of the recommended items in bits, per user; higher is less obvious, not better as such.

    An item that a share p of the training users chose carries ``-log2(p)``: 1 bit if half of them did, 10 bits if
    one in a thousand did (Zhou et al. 2010, equation 4; Castells, Hurley and Vargas 2015, section 26.3).

    Parameters
    ----------
    recommended
        Lists as in `judge`, none of them empty.
    item_users
        Int, shape (n_items,): how many of the `n_users` training users chose each item. An item that nobody chose
        counts as chosen once, so that its value is finite.

    Examples
    --------
    >>> novelty([[0, 1], [2, -1]], item_users=[8, 4, 1], n_users=8)
    array([0.5, 3. ])
    """
    return _mean_over_list(check_lists(recommended), -np.log2(_popularity(item_users, n_users)))


def intra_list_diversity(recommended: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
    """Mean of ``1 - cosine`` over all pairs of a list, per user: 0 for equal items, 1 for unrelated ones.

    With features that are never negative, such as genres, it lies between 0 and 1 (Smyth and McClave 2001;
    Ziegler et al. 2005, section 3.3, where its complement is the intra-list similarity).

    Parameters
    ----------
    recommended
        Lists as in `judge`, with at least two items each.
    features
        Float, shape (n_items, n_features). An item without any feature has cosine 0 with every other.

    Examples
    --------
    >>> comedy, drama, both = [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]
    >>> intra_list_diversity([[0, 1], [0, 2]], [comedy, drama, both]).round(3)
    array([1.   , 0.293])
    """
    lists = check_lists(recommended)
    matrix = np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError(f"features must be finite numbers of shape (n_items, n_features), not {matrix.shape}")
    _check_range(lists, len(matrix))
    lengths = (lists != EMPTY).sum(axis=1)
    if short := int((lengths < 2).sum()):
        raise ValueError(f"{short} of {len(lists)} lists have fewer than two items, so there is no pair to compare")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    unit = np.vstack([unit, np.zeros(unit.shape[1])])  # the last row stands for a free position
    similar = np.empty(len(lists))
    for start in range(0, len(lists), USERS_AT_ONCE):
        rows = slice(start, start + USERS_AT_ONCE)
        total = np.zeros((len(lists[rows]), unit.shape[1]))
        squares = np.zeros(len(total))
        for column in lists[rows].T:
            total += unit[column]
            squares += (unit[column] ** 2).sum(axis=1)
        # |sum of vectors|^2 is the sum over all ordered pairs, those of an item with itself included.
        similar[rows] = (total**2).sum(axis=1) - squares
    return np.asarray(1.0 - similar / (lengths * (lengths - 1)))


def popularity_lift(
    recommended: ArrayLike, item_users: ArrayLike, n_users: int, profile_users: ArrayLike, profile_items: ArrayLike
) -> NDArray[np.float64]:
    """How much more popular the recommendations are than what the user chose before, per user: 0 is no bias.

    Popularity of an item is the share of training users who chose it; the value is the mean over the list, divided
    by the mean over the profile, less 1. So 0.5 is "half as popular again", and a negative value leans to the long
    tail (the Delta GAP of Abdollahpouri et al. 2019, section 3.2, for a group of one user).

    Parameters
    ----------
    recommended, item_users, n_users
        As in `novelty`.
    profile_users, profile_items
        Int, shape (n_pairs,): row of the user in `recommended`, and an item of their history. Every user has one.

    Examples
    --------
    >>> popularity_lift([[0, 1]], [8, 4, 2, 4], n_users=8, profile_users=[0, 0], profile_items=[2, 3])
    array([1.])
    """
    lists = check_lists(recommended)
    popularity = _popularity(item_users, n_users)
    users = check_numbers(profile_users, "profile_users", below=len(lists))
    items = check_numbers(profile_items, "profile_items", below=len(popularity))
    lengths = np.bincount(users, minlength=len(lists))
    if missing := int((lengths == 0).sum()):
        raise ValueError(f"{missing} of {len(lists)} users have no profile to compare with: leave them out and say so")
    before = np.bincount(users, weights=popularity[items], minlength=len(lists)) / lengths
    return np.asarray(_mean_over_list(lists, popularity) / before - 1.0)


def _mean_over_list(lists: NDArray[np.integer], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean per user of a value per item, over the positions that hold an item."""
    filled = lists != EMPTY
    lengths = filled.sum(axis=1)
    if empty := int((lengths == 0).sum()):
        raise ValueError(f"{empty} of {len(lists)} lists are empty, so they have no mean: leave them out and say so")
    _check_range(lists, len(values))
    return np.asarray(np.where(filled, values[lists], 0.0).sum(axis=1) / lengths)


def _popularity(item_users: ArrayLike, n_users: int) -> NDArray[np.float64]:
    """Share of the users who chose each item; an item of nobody counts as chosen once."""
    counts = np.asarray(item_users)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or len(counts) == 0:
        raise ValueError(f"item_users must be counts of shape (n_items,), not {counts.dtype} of shape {counts.shape}")
    if counts.min() < 0 or counts.max() > n_users:
        raise ValueError(f"item_users must lie from 0 to n_users ({n_users}), not {counts.min()} to {counts.max()}")
    return np.asarray(np.maximum(counts, 1) / n_users)


def _check_range(lists: NDArray[np.integer], n_items: int) -> None:
    if lists.max() >= n_items:
        raise ValueError(f"a list holds item {lists.max()}, but there are {n_items} items, numbered from 0")
