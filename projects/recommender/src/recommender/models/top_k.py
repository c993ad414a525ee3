"""From scores to a list: the best films, or good films that are unlike each other."""

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 100  # films with the highest scores, among which a diverse list is chosen
LOWEST = np.finfo(np.float32).min
GROUPS = 256  # of columns, when the best of many are looked for
ROUNDING = np.float32(1e-5)  # of the highest score; a product of 256 numbers of single precision is off by 1e-6 of it


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
    candidates = np.flatnonzero(scores > -np.inf)
    values = scores[candidates]
    if k < len(values):
        # Everything not below the k-th best: a few more than k where scores are equal.
        kept = values >= np.partition(values, len(values) - k)[len(values) - k]
        candidates, values = candidates[kept], values[kept]
    return candidates[np.argsort(-values, kind="stable")][:k]


def contenders(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of what may be among the k highest of its row, in order of both.

    These are a few more than k, those that are nearly equal among them: a product of matrices rounds the scores of a
    row otherwise beside other rows, so who puts them in order computes them alike whatever is beside them.

    Parameters
    ----------
    scores
        Shape (n_rows, n_columns); ``-inf`` is never among them.

    Examples
    --------
    >>> contenders(np.array([[1, 3, -np.inf, 3], [-np.inf, 5, -np.inf, -np.inf]], dtype=np.float32), k=2)
    (array([0, 0, 1]), array([1, 3, 1]))
    """
    n_columns = scores.shape[1]
    floor = LOWEST
    if k < n_columns:
        # The k-th highest of the maxima of groups of columns is not above the k-th highest of all, and mostly near it.
        size = max(1, n_columns // max(GROUPS, 8 * k))
        n_groups = n_columns // size
        maxima = scores[:, : size * n_groups].reshape(-1, size, n_groups).max(axis=1)
        highest = np.partition(maxima, n_groups - k, axis=1)[:, n_groups - k :]
        margin = ROUNDING * highest.max(axis=1, keepdims=True, initial=0)
        floor = np.maximum(LOWEST, highest[:, :1] - margin)
    return np.divmod(np.flatnonzero(scores >= floor), n_columns)


def diversify(
    scores: NDArray[np.floating], vectors: NDArray[np.floating], *, k: int, diversity: float
) -> NDArray[np.int64]:
    """Choose k films one after the other, each good and unlike those chosen before.

    Every step takes the film with the highest ``(1 - diversity) * relevance - diversity * similarity``, where
    relevance is the score, scaled from 0 to 1 over the candidates, and similarity the largest cosine with a film
    that is already in the list (Carbonell and Goldstein 1998).

    Parameters
    ----------
    scores
        Shape (n_items,): higher is better; ``-inf`` is never chosen.
    vectors
        Shape (n_items, n): one vector per film, of any length; a zero vector is like nothing else.
    diversity
        From 0, the films with the highest scores in their order, to 1, the best one and then whatever is most
        unlike it.
    """
    candidates = best(scores, k if diversity == 0 else max(k, CANDIDATES))
    if diversity == 0 or len(candidates) == 0:
        return candidates
    relevance = scores[candidates].astype(np.float64)
    spread = relevance[0] - relevance[-1]
    relevance = (relevance - relevance[-1]) / spread if spread > 0 else np.ones(len(candidates))
    unit = vectors[candidates].astype(np.float64)
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit = np.divide(unit, lengths, out=np.zeros_like(unit), where=lengths > 0)
    nearest = np.zeros(len(candidates))
    free = np.ones(len(candidates), dtype=np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(k, len(candidates)):
        value = np.where(free, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        pick = int(np.argmax(value))
        chosen.append(pick)
        free[pick] = False
        nearest = np.maximum(nearest, unit @ unit[pick])
    return candidates[chosen]
