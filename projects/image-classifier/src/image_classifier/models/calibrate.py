"""Thresholds from the validation part: label sets, and when a prediction is ambiguous or unfamiliar."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from image_classifier.models.novelty import Novelty
from portfolio_shared.evaluation.classification import expected_calibration_error, label_set_threshold, softmax

UNFAMILIAR = 0.025
"""Share of pictures of the classes that may be called unfamiliar."""
AMBIGUOUS = 0.015
"""Share of pictures of the classes that may be called ambiguous."""
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
def fit_novelty(features: NDArray[np.float32], held_out: NDArray[np.float32], *, seed: int = 0) -> Novelty:
    """Fit the distance to the training pictures, and its threshold on held-out pictures of the classes.

    In one thread: where another process computes, more wait for each other and take fifty times as long.

    Parameters
    ----------
    features, held_out
        Of the training and the validation part, [n, n_features]. The threshold is exceeded by the share UNFAMILIAR of
        the held-out ones; no picture of anything else is used.
    """
    drawn = np.random.default_rng(seed).permutation(len(features))[:N_TRAINING]
    training = features[np.sort(drawn)].astype(np.float64)
    _, _, directions = np.linalg.svd(training - training.mean(axis=0), full_matrices=False)
    kept = directions[:N_DIRECTIONS].T
    fitted = Novelty(kept.astype(np.float32), (training @ kept).astype(np.float32), 1.0)
    threshold = float(np.quantile(fitted.distance(held_out), 1 - UNFAMILIAR))
    return Novelty(fitted.directions, fitted.training, threshold)
