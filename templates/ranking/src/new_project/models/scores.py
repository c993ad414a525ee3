"""Three models of one form, a square of weights from each item of a history to each item: none, neighbors, EASE."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def ease(X: NDArray[np.float64], *, penalty: float) -> Floats:
    """Return the weights B of EASE, shape (n_items, n_items), for X, shape (n_users, n_items), of 0 and 1.

    ``B = I - P / diag(P)`` with ``P = (Xt X + penalty I)^-1`` (Steck 2019, "Embarrassingly Shallow Autoencoders for
    Sparse Data", equations 6 to 8): the best linear prediction of each item from all others, in closed form.
    """
    P = np.linalg.inv(X.T @ X + penalty * np.eye(X.shape[1]))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0.0)
    return np.asarray(B, dtype=np.float32)


def item_neighbors(X: NDArray[np.float64], *, neighbors: int) -> Floats:
    """Return the cosine of each two items of X, shape (n_users, n_items), kept for the nearest of each; else 0."""
    lengths = np.sqrt((X**2).sum(axis=0))
    cosine = (X.T @ X) / np.maximum(np.outer(lengths, lengths), 1.0)
    np.fill_diagonal(cosine, 0.0)
    if neighbors < len(cosine):
        least = np.partition(cosine, -neighbors, axis=1)[:, [-neighbors]]
        cosine[cosine < least] = 0.0
    return np.asarray(cosine, dtype=np.float32)


def best(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
    """Return the numbers of the k highest scores that are above minus infinity, highest first, equal ones in order.

    Examples
    --------
    >>> best(np.array([0.1, 0.5, -np.inf, 0.5]), 3).tolist()
    [1, 3, 0]
    """
    order = np.argsort(-scores, kind="stable")[:k]
    return np.asarray(order[np.isfinite(scores[order])], dtype=np.int64)
