"""Who rated what, when: the one table that splits, models and evaluation work on."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ratings:
    """Ratings in order of user, then time, then item, which is the order of every history in the project.

    Attributes
    ----------
    users, items
        Int32, shape (n_ratings,): positions of the user and of the film, from 0. A pair occurs once.
    values
        Float32, shape (n_ratings,): stars, more is better.
    times
        Int64, shape (n_ratings,): seconds since 1970, UTC.
    n_users, n_items
        How many there are in all; some may have no rating in this table, for example in one part of a split.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    times: NDArray[np.int64]
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    def where(self, rows: NDArray[np.bool_]) -> "Ratings":
        """Return the ratings that `rows` marks; users and items keep their numbers."""
        return Ratings(
            self.users[rows], self.items[rows], self.values[rows], self.times[rows], self.n_users, self.n_items
        )

    def user_counts(self) -> Ints:
        """Ratings of each user, shape (n_users,)."""
        return np.bincount(self.users, minlength=self.n_users)

    def item_counts(self) -> Ints:
        """Ratings of each item, shape (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    def offsets(self) -> Ints:
        """Where the ratings of each user start, shape (n_users + 1,): user u has rows offsets[u] to offsets[u + 1]."""
        return np.concatenate([[0], np.cumsum(self.user_counts())]).astype(np.int64)

    def matrix(self) -> sp.csr_array:
        """Return X, float32 of shape (n_users, n_items): 1 where a user rated a film, whatever the stars."""
        ones = np.ones(len(self), dtype=np.float32)
        return sp.csr_array((ones, (self.users, self.items)), shape=(self.n_users, self.n_items))


def order_ratings(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    values: NDArray[np.float32],
    times: NDArray[np.int64],
    *,
    n_users: int,
    n_items: int,
) -> tuple[Ratings, int]:
    """Put ratings in order, and keep the last one of a user and a film; return the number of those it replaced, too.

    Of two ratings of one film at the same second, the one that comes later in the input is kept.
    """
    # Stable, so that equal pairs stay in order of time; the last of each run is the one to keep.
    order = np.lexsort((times, items, users))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (users[order[1:]] != users[order[:-1]]) | (items[order[1:]] != items[order[:-1]])
    n_replaced = int((~last).sum())
    kept = order[last]
    kept = kept[np.lexsort((items[kept], times[kept], users[kept]))]
    return Ratings(users[kept], items[kept], values[kept], times[kept], n_users, n_items), n_replaced
