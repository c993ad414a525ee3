"""How unlike the training pictures a picture is: how far its features lie from the nearest of theirs.

A softmax must name a class, whatever it is shown. Features tell more: pictures of the classes lie near each other,
and noise, text or a street lie elsewhere. The distance is that of Sun et al. 2022 ("Out-of-distribution detection with
deep nearest neighbors") to the nearest training picture, in the directions in which those differ most. What shows none
of the classes also excites few features (Yu et al. 2023, "Block selection method for using feature norm in
out-of-distribution detection"), and what is short is near to everything: so the distance is divided by the square root
of the length. Sun et al. divide by the length itself, which finds noise and text less often here.

A kind of flower that was not learned lies nearer (`models/neighbors.py`), and this distance finds a quarter of it.
With neighbors in directions in which pictures of one kind differ little, each distance in standard deviations of the
kind that is named, more is found than by any other rule that was tried: `benchmarks/image_classifier_near_ood.py`.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from image_classifier.models.neighbors import Floats, Neighbors

WITHIN = (-5.0, 8.0)
"""Standard deviations beyond which a distance counts no more, so that none outvotes the others."""
N_SHOWN = 16
"""Directions of most variance that tell in a few numbers what a picture is like."""


@dataclass(frozen=True)
class Novelty:
    """How far from the training pictures, against the threshold beyond which a picture is unlike all of them.

    Attributes
    ----------
    directions
        [n_features, n_kept]: what features are projected on.
    training
        [n_training, n_kept]: training pictures, projected.
    threshold
        What scores 1: a distance, or a mean of three in standard deviations where there are neighbors.
    power
        The distance is divided by the length of the projected picture to this power.
    neighbors
        Training pictures that near ones of an unknown class are compared with; None in models of before.
    means, deviations
        Of distance and neighbors' distances, of held-out pictures by the kind that is named [n_classes, 3].
    """

    directions: Floats
    training: Floats
    threshold: float
    power: float = 0.5
    neighbors: Neighbors | None = None
    means: Floats | None = None
    deviations: Floats | None = None

    def distance(self, embedding: ArrayLike) -> Floats:
        """Return the distance of each row of [n, n_features] to the nearest training picture, for its length."""
        rows = np.asarray(embedding, dtype=np.float32) @ self.directions
        # |t - r|^2 = |t|^2 - 2 t r + |r|^2: a tenth of the time of all differences. A row at a time, so that the
        # score of a picture does not depend on the rest of its batch.
        nearest = np.array([(self._lengths - 2 * (self.training @ row)).min() + row @ row for row in rows], np.float32)
        lengths = np.maximum(np.linalg.norm(rows, axis=1), np.float32(1e-6))
        return np.asarray(np.sqrt(np.maximum(nearest, 0)) / lengths**self.power, dtype=np.float32)

    def features(self, embedding: ArrayLike) -> Floats:
        """Return the projections of rows [n, n_features] on the first N_SHOWN directions."""
        return np.asarray(np.asarray(embedding, dtype=np.float32) @ self.directions[:, :N_SHOWN], dtype=np.float32)

    @cached_property
    def _lengths(self) -> Floats:
        """Squared lengths of the training pictures [n_training]."""
        return np.asarray(np.einsum("ij,ij->i", self.training, self.training), dtype=np.float32)

    def measures(self, embedding: ArrayLike, named: ArrayLike) -> Floats:
        """Return distance and neighbors' distances [n, 3] of rows [n, n_features] that are named so [n]."""
        if self.neighbors is None:
            raise ValueError("this model has no neighbors")
        return np.column_stack([self.distance(embedding), self.neighbors.distances(embedding, named)])

    def standardized(self, measures: ArrayLike, named: ArrayLike) -> Floats:
        """Return the means [n] of `measures`, in standard deviations of held-out pictures that are named the same."""
        kinds = np.asarray(named)
        if self.means is None or self.deviations is None:
            raise ValueError("this model has no means of its distances")
        standard = (np.asarray(measures, dtype=np.float32) - self.means[kinds]) / self.deviations[kinds]
        return np.asarray(np.clip(standard, *WITHIN).mean(axis=1), dtype=np.float32)

    def score(self, embedding: ArrayLike, named: ArrayLike) -> Floats:
        """Return how unlike the training pictures rows are, named so [n]; above 1 they are unlike all of them."""
        if self.neighbors is None:
            return self.distance(embedding) / np.float32(self.threshold)
        return np.asarray(
            np.exp(self.standardized(self.measures(embedding, named), named) - np.float32(self.threshold)),
            dtype=np.float32,
        )

    def save(self, path: Path) -> None:
        """Write everything that was fitted."""
        arrays: dict[str, Any] = {"directions": self.directions, "known": self.training}
        if self.neighbors is not None and self.means is not None and self.deviations is not None:
            arrays |= {f"neighbors.{name}": array for name, array in vars(self.neighbors).items()}
            arrays |= {"means": self.means, "deviations": self.deviations}
        np.savez(path, threshold=np.float64(self.threshold), power=np.float64(self.power), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Novelty":
        """Read what `save` wrote; the first models had no power, and their distance was not divided."""
        with np.load(path, allow_pickle=False) as arrays:
            power = float(arrays["power"]) if "power" in arrays else 0.0
            plain = cls(arrays["directions"], arrays["known"], float(arrays["threshold"]), power)
            if "means" not in arrays:
                return plain
            neighbors = Neighbors(*(arrays[f"neighbors.{field.name}"] for field in fields(Neighbors)))
            return replace(plain, neighbors=neighbors, means=arrays["means"], deviations=arrays["deviations"])
