"""How unlike the training pictures a picture is: the distance of its features from theirs.

A softmax must name a class, whatever it is shown. Features tell more: pictures of the classes lie near each other,
and noise, text or a street lie elsewhere. The distance is that of Lee et al. 2018 (section 2.1), the Mahalanobis
distance to the nearest class mean with one covariance for all classes, less the distance to the mean of all pictures
with the covariance of all (Ren et al. 2021, the relative form), if that is asked for.
"""

from dataclasses import dataclass
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
        [n_features, n_kept]: whitens features, so that distances are Euclidean.
    means
        [n_classes, n_kept]: the classes, in the same terms.
    threshold
        The distance that scores 1.
    """

    directions: Floats
    means: Floats
    threshold: float

    def distance(self, embedding: ArrayLike) -> Floats:
        """Return the distance of each row of [n, n_features] to the nearest class."""
        rows = np.asarray(embedding, dtype=np.float32) @ self.directions
        return np.asarray(np.sqrt(((rows[:, None, :] - self.means[None]) ** 2).sum(axis=2)).min(axis=1))

    def score(self, embedding: ArrayLike) -> Floats:
        """Return the distance over the threshold; above 1 a picture is unlike the training pictures."""
        return self.distance(embedding) / np.float32(self.threshold)

    def save(self, path: Path) -> None:
        """Write arrays and threshold."""
        np.savez(path, directions=self.directions, means=self.means, threshold=np.float64(self.threshold))

    @classmethod
    def load(cls, path: Path) -> "Novelty":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as told:
            return cls(told["directions"], told["means"], float(told["threshold"]))
