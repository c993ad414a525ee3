"""How near the training pictures are in the directions in which pictures of one kind hardly differ.

A kind that was never learned lies among the others in most directions: light, background, how close the camera was.
What pictures of one kind differ in is made to count less (Lee et al. 2018, "A simple unified framework for detecting
out-of-distribution samples", whose Mahalanobis distance does so wholly), and what is left is compared by its angle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

NEAREST, OF_ITS_KIND = 3, 20
"""Training pictures of any kind, and of the one that was named, whose mean distance counts."""
N_DIRECTIONS = 128
WHITENED = 0.4
"""Directions are divided by their variance to this power: 0.5 would be the Mahalanobis distance."""


@dataclass(frozen=True)
class Neighbors:
    """Training pictures as directions from their centre.

    Attributes
    ----------
    centre, directions
        [n_features] and [n_features, n_kept]: what is taken from features, and what they are projected on.
    training
        [n_training, n_kept]: training pictures, projected, of length 1.
    labels
        Their label numbers [n_training].
    """

    centre: Floats
    directions: Floats
    training: Floats
    labels: NDArray[np.int64]

    def distances(self, embedding: ArrayLike, named: ArrayLike) -> Floats:
        """Return for rows [n, n_features], named so [n], one minus the cosine to their neighbors.

        A row at a time, so that the score of a picture does not depend on the rest of its batch.

        Returns
        -------
        ndarray [n, 2]
            The means over the nearest of any kind, and over the nearest of the kind that was named.
        """
        rows = unit(((np.asarray(embedding, dtype=np.float32) - self.centre) @ self.directions).astype(np.float32))
        found = np.empty((len(rows), 2), dtype=np.float32)
        for row, label, means in zip(rows, np.asarray(named), found, strict=True):
            cosines = self.training @ row
            means[:] = (
                1 - _mean_of_largest(cosines, NEAREST),
                1 - _mean_of_largest(cosines[self.labels == label], OF_ITS_KIND),
            )
        return found


def fit_neighbors(training: NDArray[np.float64], labels: NDArray[np.int64]) -> Neighbors:
    """Find the directions in training pictures [n, n_features] of these label numbers [n]."""
    names, rows = np.unique(labels, return_inverse=True)
    means = np.stack([training[rows == number].mean(axis=0) for number in range(len(names))])
    _, lengths, directions = np.linalg.svd(training - means[rows], full_matrices=False)
    kept = min(N_DIRECTIONS, int((lengths > 1e-6 * lengths[0]).sum()))
    projection = directions[:kept].T / (lengths[:kept] ** 2 / len(training)) ** WHITENED
    centre = training.mean(axis=0)
    projected = unit(((training - centre) @ projection).astype(np.float32))
    return Neighbors(centre.astype(np.float32), projection.astype(np.float32), projected, labels)


def unit(rows: NDArray[np.floating]) -> Floats:
    """Return rows of length 1; one without any length stays so."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _mean_of_largest(values: Floats, count: int) -> np.float32:
    count = min(count, len(values))
    return np.float32(np.partition(values, -count)[-count:].mean()) if count else np.float32(-1)
