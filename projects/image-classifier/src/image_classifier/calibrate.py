"""What the validation part says about when to believe the model: temperature, label sets, and when to say nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_classifier.novelty import Novelty
from portfolio_shared.evaluation.classification import (
    expected_calibration_error,
    label_set_threshold,
    softmax,
)

UNFAMILIAR = 0.02
"""Share of pictures of the classes that may be called unfamiliar."""
AMBIGUOUS = 0.015
"""Share of pictures of the classes that may be called ambiguous."""
KEPT_VARIANCE = 0.95
"""Share of the features' variance within classes that the distance looks at."""


@dataclass(frozen=True)
class Calibration:
    """What was found on the validation part.

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
    labels
        Label numbers [n].
    probabilities
        As they will be served, [n, n_classes].
    logits
        Of the same pictures, before the temperature.
    """
    return Calibration(
        error_before=expected_calibration_error(labels, softmax(logits)),
        error_after=expected_calibration_error(labels, probabilities),
        least_probability=label_set_threshold(labels, probabilities, coverage=coverage),
        least_confidence=float(np.quantile(probabilities.max(axis=1), AMBIGUOUS)),
    )


def fit_novelty(
    features: NDArray[np.float32], labels: NDArray[np.int64], held_out: NDArray[np.float32], n_classes: int
) -> Novelty:
    """Fit the distance to the training pictures, and its threshold on held-out pictures of the classes.

    Parameters
    ----------
    features, labels
        Of the training part: [n, n_features], [n].
    held_out
        Features of the validation part: the threshold is exceeded by the share UNFAMILIAR of them. No picture of
        anything else is used.
    """
    means = np.stack([features[labels == label].mean(axis=0) for label in range(n_classes)]).astype(np.float64)
    centred = features - means[labels]
    directions = _whitening(centred)
    fitted = Novelty(directions.astype(np.float32), (means @ directions).astype(np.float32), 1.0)
    threshold = float(np.quantile(fitted.distance(held_out), 1 - UNFAMILIAR))
    return Novelty(fitted.directions, fitted.means, threshold)


def _whitening(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [n_features, n_kept]: the directions of most variance within classes, scaled to variance one."""
    _, spread, vectors = np.linalg.svd(centred, full_matrices=False)
    variance = spread**2 / len(centred)
    kept = int(np.searchsorted(np.cumsum(variance) / variance.sum(), KEPT_VARIANCE)) + 1
    return np.asarray(vectors[:kept].T / np.sqrt(variance[:kept]))
