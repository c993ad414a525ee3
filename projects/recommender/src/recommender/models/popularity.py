"""Everybody gets what most people rated: the model that every other one must beat."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class Popularity:
    """Score of a film: how many users rated it, shape (n_items,). A history changes nothing."""

    counts: NDArray[np.float32]

    def scores(self, items: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score every film, shape (n_items,); the history is not looked at."""
        del items, weights
        return self.counts.copy()


def fit_popularity(X: sp.csr_array) -> Popularity:
    """Count the users of each item of X, shape (n_users, n_items)."""
    return Popularity(np.asarray(X.astype(bool).sum(axis=0), dtype=np.float32))
