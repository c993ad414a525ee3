"""Thresholds from the validation part: label sets, and when a prediction is ambiguous or unfamiliar."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from image_classifier.models.neighbors import fit_neighbors
from image_classifier.models.novelty import Novelty
from portfolio_shared.evaluation.classification import expected_calibration_error, label_set_threshold, softmax

UNFAMILIAR = 0.04
"""Share of pictures of the classes that may be called unfamiliar."""
AMBIGUOUS = 0.01
"""Share of pictures of the classes that may be called ambiguous."""
ENOUGH = 200
"""Held-out pictures that tell how each kind's distances vary. With fewer, the distance to the nearest alone counts: of
the sample's probe, neighbors let one drawing in five pass, and one in twenty without them."""
FEW = 10
"""So many held-out pictures of all classes are added to those of each: their means alone would be of few."""
N_DIRECTIONS = 128
"""Directions of most variance that the distance to the training pictures looks at."""
N_TRAINING = 5000
"""Training pictures that are kept to measure the distance to; of more, so many are drawn."""


@dataclass(frozen=True)
class Calibration:
    """Calibration errors and thresholds of the validation part.

    Attributes
    ----------
    error_before, error_after
        Expected calibration error on the validation part without a temperature, and of what is served.
    least_probability
        A label belongs to the label set if it has at least this probability.
    least_confidence
        Answers whose first label has less are ambiguous.
    """

    error_before: float
    error_after: float
    least_probability: float
    least_confidence: float


def calibrate(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], logits: NDArray[np.float64], *, coverage: float
) -> Calibration:
    """Find thresholds on pictures that the model was not fitted on.

    Parameters
    ----------
    labels, probabilities
        Label numbers [n], and probabilities as they will be served [n, n_classes].
    logits
        Of the same pictures, before the temperature.
    """
    return Calibration(
        error_before=expected_calibration_error(labels, softmax(logits)),
        error_after=expected_calibration_error(labels, probabilities),
        least_probability=label_set_threshold(labels, probabilities, coverage=coverage),
        least_confidence=float(np.quantile(probabilities.max(axis=1), AMBIGUOUS)),
    )


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit_novelty(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    held_out: NDArray[np.float32],
    named: NDArray[np.int64],
    *,
    n_classes: int,
    frozen: bool,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Novelty:
    """Fit distances to the training pictures, and their threshold on held-out pictures of the classes.

    In one thread: where another process computes, more wait for each other and take fifty times as long.

    Parameters
    ----------
    features, labels
        Of the training part, [n, n_features] and [n].
    held_out, named
        Features of the validation part, and the label numbers that they are given. The threshold is exceeded by the
        share UNFAMILIAR of them; no picture of anything else is used.
    frozen
        Whether the network that makes the features has not learned from the training pictures. Then, where fewer than
        ENOUGH are held out, each fifth of the training pictures is too, for its distance to the other four.
    groups
        Numbers from 0 of the photographs that the training part's rows are of [n], where some are copies of others: a
        photograph and its copy are held out together.
    """
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.permutation(len(features))[:N_TRAINING])
    training = features[drawn].astype(np.float64)
    plain = _distances(training)
    if len(held_out) < ENOUGH:
        distances = [plain.distance(held_out)]
        if frozen:
            of = drawn if groups is None else groups[drawn]
            fold = (generator.permutation(of.max() + 1) % 5)[of]
            distances += [_distances(training[fold != k]).distance(training[fold == k]) for k in range(5)]
        return replace(plain, threshold=_threshold(np.concatenate(distances)))
    fitted = replace(plain, neighbors=fit_neighbors(training, labels[drawn]))
    measured = fitted.measures(held_out, named).astype(np.float64)
    # Each class's first and second moments, drawn toward those of all by FEW pictures.
    counts = np.bincount(named, minlength=n_classes)[:, None] + FEW
    first, second = (
        (np.stack([powers[named == label].sum(axis=0) for label in range(n_classes)]) + FEW * powers.mean(axis=0))
        / counts
        for powers in (measured, measured**2)
    )
    spread = np.sqrt(np.maximum(second - first**2, 1e-12))
    fitted = replace(fitted, means=first.astype(np.float32), deviations=spread.astype(np.float32))
    return replace(fitted, threshold=_threshold(fitted.standardized(measured, named)))


def _distances(training: NDArray[np.float64]) -> Novelty:
    """Return distances to training pictures [n, n_features], without a threshold."""
    _, _, directions = np.linalg.svd(training - training.mean(axis=0), full_matrices=False)
    kept = directions[:N_DIRECTIONS].T
    return Novelty(kept.astype(np.float32), (training @ kept).astype(np.float32), 0.0)


def _threshold(scores: NDArray[np.float32]) -> float:
    """Return what the share UNFAMILIAR of pictures exceed, at the rank that conformal prediction takes.

    Means and deviations of the kinds are of the same pictures, so what holds for scores of new ones holds nearly.
    """
    rank = min(len(scores), math.ceil((len(scores) + 1) * (1 - UNFAMILIAR)))
    return float(np.sort(scores)[rank - 1])
