"""How unlike the training pictures a picture is: how far its features lie from the nearest of theirs.

A softmax must name a class, whatever it is shown. Features tell more: pictures of the classes lie near each other,
and noise, text or a street lie elsewhere. The distance is that of Sun et al. 2022 ("Out-of-distribution detection with
deep nearest neighbors") to the nearest training picture, in the directions in which those differ most. What shows none
of the classes also excites few features (Yu et al. 2023, "Block selection method for using feature norm in
out-of-distribution detection"), and what is short is near to everything: so the distance is divided by the square root
of the length. Sun et al. divide by the length itself, which finds noise and text less often here.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Novelty:
    """Distance to the training pictures, over the threshold beyond which a picture is unlike all of them.

    Attributes
    ----------
    directions
        [n_features, n_kept]: what features are projected on.
    training
        [n_training, n_kept]: training pictures, projected.
    threshold
        The distance that scores 1.
    power
        The distance is divided by the length of the projected picture to this power.
    """

    directions: Floats
    training: Floats
    threshold: float
    power: float = 0.5

    def distance(self, embedding: ArrayLike) -> Floats:
        """Return the distance of each row of [n, n_features] to the nearest training picture, for its length."""
        rows = np.asarray(embedding, dtype=np.float32) @ self.directions
        # |t - r|^2 = |t|^2 - 2 t r + |r|^2: a tenth of the time of all differences. A row at a time, so that the
        # score of a picture does not depend on the rest of its batch.
        nearest = np.array([(self._lengths - 2 * (self.training @ row)).min() + row @ row for row in rows], np.float32)
        lengths = np.maximum(np.linalg.norm(rows, axis=1), np.float32(1e-6))
        return np.asarray(np.sqrt(np.maximum(nearest, 0)) / lengths**self.power, dtype=np.float32)

    @cached_property
    def _lengths(self) -> Floats:
        """Squared lengths of the training pictures [n_training]."""
        return np.asarray(np.einsum("ij,ij->i", self.training, self.training), dtype=np.float32)

    def score(self, embedding: ArrayLike) -> Floats:
        """Return the distance over the threshold; above 1 a picture is unlike the training pictures."""
        return self.distance(embedding) / np.float32(self.threshold)

    def save(self, path: Path) -> None:
        """Write arrays, threshold and power."""
        threshold, power = np.float64(self.threshold), np.float64(self.power)
        np.savez(path, directions=self.directions, known=self.training, threshold=threshold, power=power)

    @classmethod
    def load(cls, path: Path) -> "Novelty":
        """Read what `save` wrote; the first models had no power, and their distance was not divided."""
        with np.load(path, allow_pickle=False) as arrays:
            power = float(arrays["power"]) if "power" in arrays else 0.0
            return cls(arrays["directions"], arrays["known"], float(arrays["threshold"]), power)
