"""Metrics of ranked lists, one value per user: means, intervals and paired comparisons all start from these arrays.

A list is a row of item numbers, best first. `judge` compares the lists with what the users chose later; relevance
is yes or no. The accuracy metrics need no more than its result:

- A user whose list holds nothing relevant scores zero and stays in the mean.
- A user with no relevant item at all has no defined score, and `judge` refuses them: leave such users out before,
  and say how many they are.
- A list that is too short is filled up with -1; such positions count as misses.

What kind of lists they are, whatever is relevant, is measured in `diversity.py`. Written here and not taken from a
library: those return means, and intervals and paired comparisons need one value per user.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

EMPTY = -1  # a position of a list that holds no item


class Judged(NamedTuple):
    """Lists after comparison with the relevant items.

    Attributes
    ----------
    hits
        Bool, shape (n_users, length of the lists): whether the item at this position is relevant.
    n_relevant
        Int, shape (n_users,): number of relevant items of each user, whether recommended or not; at least 1.
    """

    hits: NDArray[np.bool_]
    n_relevant: NDArray[np.int64]


def judge(recommended: ArrayLike, relevant_users: ArrayLike, relevant_items: ArrayLike) -> Judged:
    """Mark which recommendations are relevant.

    Parameters
    ----------
    recommended
        Int, shape (n_users, length): item numbers, best first; -1 fills the end of a list that is too short.
    relevant_users, relevant_items
        Int, shape (n_pairs,) each: row of the user in `recommended`, and an item that is relevant to them. In any
        order, each pair once.

    Raises
    ------
    ValueError
        If a user has no relevant item, an item stands twice in a list, a pair is given twice, or shapes, types or
        numbers are impossible.

    Examples
    --------
    >>> judged = judge([[7, 3, 5], [1, 2, -1]], relevant_users=[0, 0, 1], relevant_items=[5, 9, 1])
    >>> judged.hits
    array([[False, False,  True],
           [ True, False, False]])
    >>> judged.n_relevant
    array([2, 1])
    """
    lists = check_lists(recommended)
    users = check_numbers(relevant_users, "relevant_users", below=len(lists))
    items = check_numbers(relevant_items, "relevant_items", below=None)
    if len(users) != len(items):
        raise ValueError(f"relevant_users and relevant_items differ in length: {len(users)} and {len(items)}")
    n_relevant = np.bincount(users, minlength=len(lists))
    if missing := int((n_relevant == 0).sum()):
        first = int(np.argmin(n_relevant))
        raise ValueError(
            f"{missing} of {len(lists)} users have no relevant item (the first in row {first}), so no metric is "
            "defined for them: leave them out and report how many"
        )
    # One number per pair turns membership for all users into one sorted search.
    width = int(max(lists.max(), items.max())) + 1
    known = np.sort(users * width + items)
    if (known[1:] == known[:-1]).any():
        raise ValueError("a pair of user and relevant item is given twice; each counts once")
    hits = np.empty(lists.shape, dtype=np.bool_)
    rows = np.arange(len(lists), dtype=np.int64) * width
    for position in range(lists.shape[1]):  # column by column, so that memory stays that of one column
        column = lists[:, position].astype(np.int64)
        wanted = rows + column
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        hits[:, position] = (known[place] == wanted) & (column != EMPTY)
    return Judged(hits, n_relevant)


def precision_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """Relevant recommendations among the first k, divided by k. Per user, 0 to 1, higher is better.

    The divisor is k even where positions are free or the user has fewer than k relevant items, so such a user
    cannot reach 1 (Manning, Raghavan and Schuetze 2008, section 8.4; ``P_k`` of trec_eval).

    Examples
    --------
    >>> precision_at_k(judge([[7, 3, 5]], [0, 0], [5, 9]), k=2)
    array([0.])
    >>> precision_at_k(judge([[7, 3, 5, 9]], [0, 0], [5, 9]), k=4)
    array([0.5])
    """
    return np.asarray(_first(judged, k).sum(axis=1) / k)


def recall_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """Relevant recommendations among the first k, divided by all relevant items. Per user, higher is better.

    The divisor is the number of relevant items even where it exceeds k, so a user with 30 of them reaches at most
    k / 30 (Manning et al. 2008, section 8.3; ``recall_k`` of trec_eval). Some papers divide by ``min(k, n)``.

    Examples
    --------
    >>> recall_at_k(judge([[7, 3, 5]], [0, 0], [5, 9]), k=3)
    array([0.5])
    """
    return np.asarray(_first(judged, k).sum(axis=1) / judged.n_relevant)


def ndcg_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """Discounted gain of the first k positions over that of an ideal list. Per user, 0 to 1, higher is better.

    A hit at position p, counted from 1, gains ``1 / log2(p + 1)``; the ideal list has ``min(k, n)`` hits on top,
    for n relevant items (Jarvelin and Kekalainen 2002, with the discount of Burges et al. 2005; ``ndcg_cut_k`` of
    trec_eval).

    Examples
    --------
    >>> ndcg_at_k(judge([[7, 3, 5]], [0], [5]), k=3)  # 1 / log2(4)
    array([0.5])
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    hits = _first(judged, k)
    gain = hits @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    return np.asarray(gain / ideal[np.minimum(judged.n_relevant, k)])


def average_precision_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """Precision at every hit among the first k, summed, over ``min(k, n)`` for n relevant items. Higher is better.

    Its mean over users is MAP@k. With this divisor an ideal list scores 1 whatever n is; trec_eval's ``map_cut_k``
    divides by n instead, so it is ``min(k, n) / n`` times this value (Manning et al. 2008, section 8.4).

    Examples
    --------
    >>> average_precision_at_k(judge([[5, 3, 9]], [0, 0], [5, 9]), k=3)  # (1/1 + 2/3) / 2
    array([0.83333333])
    """
    hits = _first(judged, k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / np.minimum(judged.n_relevant, k))


def reciprocal_rank_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """Return one over the position of the first hit, 0 without a hit among the first k. Per user, higher is better.

    Its mean over users is MRR@k (Voorhees 1999; ``recip_rank`` of trec_eval on lists cut at k).

    Examples
    --------
    >>> reciprocal_rank_at_k(judge([[7, 5, 9]], [0, 0], [5, 9]), k=3)
    array([0.5])
    """
    hits = _first(judged, k)
    return np.asarray(np.where(hits.any(axis=1), 1.0 / (np.argmax(hits, axis=1) + 1.0), 0.0))


def hit_rate_at_k(judged: Judged, k: int) -> NDArray[np.float64]:
    """1 where at least one of the first k is relevant, else 0 (``success_k`` of trec_eval). Higher is better.

    Examples
    --------
    >>> hit_rate_at_k(judge([[7, 5, 9]], [0, 0], [5, 9]), k=1)
    array([0.])
    """
    return np.asarray(_first(judged, k).any(axis=1), dtype=np.float64)


def ranking_metrics(judged: Judged, k: int) -> dict[str, NDArray[np.float64]]:
    """Return every accuracy metric at k by name; each is an array with one value per user.

    Examples
    --------
    >>> metrics = ranking_metrics(judge([[7, 3, 5]], [0], [5]), k=3)
    >>> {name: round(float(values.mean()), 3) for name, values in metrics.items()}
    {'precision': 0.333, 'recall': 1.0, 'ndcg': 0.5, 'map': 0.333, 'mrr': 0.333, 'hit_rate': 1.0}
    """
    return {
        "precision": precision_at_k(judged, k),
        "recall": recall_at_k(judged, k),
        "ndcg": ndcg_at_k(judged, k),
        "map": average_precision_at_k(judged, k),
        "mrr": reciprocal_rank_at_k(judged, k),
        "hit_rate": hit_rate_at_k(judged, k),
    }


def check_lists(recommended: ArrayLike) -> NDArray[np.integer]:
    """Return recommendations as an array of shape (n_users, length), or raise ValueError with what is wrong."""
    lists = np.asarray(recommended)
    if lists.ndim != 2 or lists.size == 0 or lists.dtype.kind not in "iu":
        raise ValueError(
            f"recommended must be whole numbers of shape (n_users, length), not {lists.dtype} of shape {lists.shape}"
        )
    if lists.min() < EMPTY:
        raise ValueError(f"item numbers start at 0, and {EMPTY} marks a free position; found {lists.min()}")
    free = lists == EMPTY
    if (free[:, :-1] & ~free[:, 1:]).any():
        raise ValueError(f"free positions ({EMPTY}) must stand at the end of a list")
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != EMPTY)).any():
        raise ValueError("an item stands twice in a list, so its hit would count twice")
    return lists


def check_numbers(values: ArrayLike, name: str, *, below: int | None) -> NDArray[np.int64]:
    """Return numbers of users or items, shape (n_pairs,), or raise ValueError with what is wrong."""
    numbers = np.asarray(values)
    if numbers.ndim != 1 or len(numbers) == 0 or numbers.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers of shape (n_pairs,), not {numbers.dtype} of {numbers.shape}")
    if numbers.min() < 0 or (below is not None and numbers.max() >= below):
        raise ValueError(f"{name} must lie from 0 to {'' if below is None else below - 1}; found {numbers}")
    return numbers.astype(np.int64)


def _first(judged: Judged, k: int) -> NDArray[np.bool_]:
    """Return the hits among the first k positions."""
    length = judged.hits.shape[1]
    if not 1 <= k <= length:
        raise ValueError(
            f"k must lie from 1 to the length of the lists ({length}), not {k}; fill lists up with {EMPTY}"
        )
    return judged.hits[:, :k]
