"""Neighborhood models: what similar users rated, and films that were rated by the same users."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

ITEMS_AT_ONCE = 1_000  # bounds the memory of similarities before they are pruned
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class UserNeighbors:
    """The users most similar to a history vote for what they rated, each with their similarity.

    Attributes
    ----------
    X
        Shape (n_users, n_items): 1 where a user rated a film. The model is everybody's history, so it is a
        baseline here and never leaves the training machine.
    n_neighbors
        How many users vote.
    """

    X: sp.csr_array
    n_neighbors: int

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film, shape (n_items,), by cosine similarity of users (Herlocker et al. 1999)."""
        query = np.zeros(self.X.shape[1], dtype=np.float32)
        query[items] = weights
        similarity = (self.X @ query) / np.sqrt(np.maximum(self.X.sum(axis=1), 1.0))
        n = min(self.n_neighbors, len(similarity))
        nearest = np.argpartition(-similarity, n - 1)[:n]
        return np.asarray(similarity[nearest] @ self.X[nearest], dtype=np.float32)


@dataclass(frozen=True)
class ItemNeighbors:
    """Each film of a history votes for its most similar films.

    Attributes
    ----------
    similarity
        Shape (n_items, n_items), sparse: row i holds the nearest films of film i.
    """

    similarity: sp.csr_array

    def scores(self, items: NDArray[np.integer], weights: Floats) -> Floats:
        """Score every film, shape (n_items,): the weighted sum of the rows of the history."""
        return np.asarray(weights @ self.similarity[items], dtype=np.float32)


def fit_user_neighbors(X: sp.csr_array, *, n_neighbors: int) -> UserNeighbors:
    """Keep X, shape (n_users, n_items); there is nothing to fit."""
    return UserNeighbors(sp.csr_array(X, dtype=np.float32), n_neighbors)


def fit_item_neighbors(X: sp.csr_array, *, n_neighbors: int) -> ItemNeighbors:
    """Keep the `n_neighbors` most similar films of each film.

    Similarity is the cosine of the columns of X after each user was weighted by ``log(n_items / (1 + n))`` for n
    ratings: those who rated everything say little about what belongs together (tf-idf, users as terms).
    """
    idf = np.log(X.shape[1] / (1.0 + X.sum(axis=1)))
    weighted = sp.csc_array(sp.diags_array(np.maximum(idf, 0.0)) @ X)
    lengths = np.sqrt((weighted**2).sum(axis=0))
    unit = sp.csc_array(weighted @ sp.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)))
    blocks = []
    for start in range(0, unit.shape[1], ITEMS_AT_ONCE):
        block = unit[:, start : start + ITEMS_AT_ONCE].T @ unit
        blocks.append(_nearest(block.toarray(), start, n_neighbors))
    return ItemNeighbors(sp.csr_array(sp.vstack(blocks)))


def _nearest(block: NDArray[np.float64], first_item: int, n_neighbors: int) -> sp.csr_array:
    """Keep the largest entries of each row, that of the film itself excepted."""
    n_rows, n_items = block.shape
    rows = np.arange(n_rows)
    block[rows, rows + first_item] = 0.0
    n = min(n_neighbors, n_items)
    columns = np.argpartition(-block, n - 1, axis=1)[:, :n]
    values = np.take_along_axis(block, columns, axis=1).astype(np.float32)
    kept = values > 0
    entries = (values[kept], (np.repeat(rows, n).reshape(n_rows, n)[kept], columns[kept]))
    return sp.csr_array(entries, shape=block.shape)
