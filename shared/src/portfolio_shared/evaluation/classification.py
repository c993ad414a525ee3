"""Metrics of classification and calibration: ``*_error`` is better when lower, ``*_score`` when higher.

Everywhere: `y_true` holds label numbers [n], `probabilities` is [n, n_classes] with rows that sum to 1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.conformal import conformal_quantile

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

LEAST = 1e-15
"""Probabilities are taken as at least this in a logarithm."""


def accuracy_score(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Share of rows whose most probable label is the true one; higher is better.

    Examples
    --------
    >>> accuracy_score([0, 1, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    0.75
    """
    true, proba = _check(y_true, probabilities)
    return float(np.mean(proba.argmax(axis=1) == true))


def log_loss_error(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of ``-log(probability of the true label)``, natural logarithm; lower is better.

    Examples
    --------
    >>> round(log_loss_error([0, 1], [[0.5, 0.5], [0.75, 0.25]]), 4)
    1.0397
    """
    true, proba = _check(y_true, probabilities)
    return float(-np.mean(np.log(np.maximum(proba[np.arange(len(true)), true], LEAST))))


def expected_calibration_error(y_true: ArrayLike, probabilities: ArrayLike, *, n_bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal width; 0 is perfect, lower is better.

    Confidence is the largest probability of a row; bins are closed above; empty bins count nothing (Guo et al. 2017,
    equation 3). It is biased upwards on few rows: a perfectly calibrated model on 600 rows is not at 0.

    Examples
    --------
    >>> expected_calibration_error([0, 0, 1, 1], [[0.75, 0.25]] * 4, n_bins=2)
    0.25
    """
    return float(sum(share * abs(right - sure) for sure, right, share in reliability(y_true, probabilities, n_bins)))


def reliability(y_true: ArrayLike, probabilities: ArrayLike, n_bins: int = 15) -> list[tuple[float, float, float]]:
    """Return (mean confidence, accuracy, share of the rows) of every bin that is not empty, the least sure first.

    Examples
    --------
    >>> reliability([0, 0, 1, 1], [[0.75, 0.25]] * 4, n_bins=2)
    [(0.75, 0.5, 1.0)]
    """
    true, proba = _check(y_true, probabilities)
    sure, right = proba.max(axis=1), proba.argmax(axis=1) == true
    number = np.clip(np.ceil(sure * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    return [
        (float(sure[number == bin_].mean()), float(right[number == bin_].mean()), float(np.mean(number == bin_)))
        for bin_ in np.unique(number)
    ]


def confusion_matrix(y_true: ArrayLike, probabilities: ArrayLike) -> Labels:
    """Count rows by true label (first axis) and most probable label (second axis): [n_classes, n_classes].

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).tolist()
    [[1, 0], [1, 1]]
    """
    true, proba = _check(y_true, probabilities)
    counts = np.zeros((proba.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (true, proba.argmax(axis=1)), 1)
    return counts


def precision_scores(counts: ArrayLike) -> Floats:
    """Of the rows called a label, the share that are: [n_classes], NaN for a label that is never given.

    Parameters
    ----------
    counts
        As `confusion_matrix` returns it.

    Examples
    --------
    >>> precision_scores([[1, 0], [1, 2]]).tolist()
    [0.5, 1.0]
    """
    return _shares(counts, axis=0)


def recall_scores(counts: ArrayLike) -> Floats:
    """Of the rows that are a label, the share called it: [n_classes], NaN for a label without rows.

    Examples
    --------
    >>> recall_scores([[1, 0], [1, 3]]).tolist()
    [1.0, 0.75]
    """
    return _shares(counts, axis=1)


def f1_macro_score(y_true: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over labels of 2 TP / (2 TP + FP + FN); higher is better. A label that neither occurs nor is given is out.

    Examples
    --------
    >>> f1_macro_score([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    0.6666666666666666
    """
    counts = confusion_matrix(y_true, probabilities)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * np.diag(counts)[either > 0] / either[either > 0]))


def softmax(logits: ArrayLike) -> Floats:
    """Return probabilities [n, n_classes] of logits of that shape.

    Examples
    --------
    >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    values = np.asarray(logits, dtype=np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def fit_temperature(y_true: ArrayLike, logits: ArrayLike) -> float:
    """Return the temperature T > 0 that gives ``softmax(logits / T)`` the least log loss (Guo et al. 2017).

    It does not change which label is the most probable. The loss has one minimum in 1 / T, which bisection of its
    derivative finds; T stays between 0.05 and 20.

    Examples
    --------
    >>> logits = [[2.0, 0.0]] * 3 + [[0.0, 2.0]]  # says 88 %, is right in 75 % of the rows
    >>> softmax([[2.0 / fit_temperature([0, 0, 0, 0], logits), 0.0]])[0, 0].round(4).item()
    0.75
    """
    values = np.asarray(logits, dtype=np.float64)
    true, _ = _check(y_true, softmax(values))
    of_true = values[np.arange(len(true)), true]

    def slope(inverse: float) -> float:
        expected = (softmax(values * inverse) * values).sum(axis=1)
        return float(np.mean(expected - of_true))

    low, high = 0.05, 20.0
    if slope(low) >= 0 or slope(high) <= 0:
        return 1 / low if slope(low) >= 0 else 1 / high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def label_set_threshold(y_true: ArrayLike, probabilities: ArrayLike, *, coverage: float) -> float:
    """Return the least probability with which a label belongs to the set, so that sets hold the truth often enough.

    Split conformal classification with the score ``1 - probability of the true label`` (Sadinle, Lei and Wasserman
    2019, section 2; Angelopoulos and Bates 2021, section 1.1). The rows must not have been fitted on; too few for the
    coverage raise ValueError.

    Examples
    --------
    >>> label_set_threshold([0, 0, 1], [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]], coverage=0.75)
    0.6
    """
    true, proba = _check(y_true, probabilities)
    # In the order of 1 - p, without its rounding: the row at the threshold must reach it.
    return -conformal_quantile(-proba[np.arange(len(true)), true], coverage=coverage)


def _shares(counts: ArrayLike, *, axis: int) -> Floats:
    table = np.asarray(counts, dtype=np.float64)
    total = table.sum(axis=axis)
    return np.asarray(np.divide(np.diag(table), total, out=np.full(len(table), np.nan), where=total > 0))


def _check(y_true: ArrayLike, probabilities: ArrayLike) -> tuple[Labels, Floats]:
    true, proba = np.asarray(y_true), np.asarray(probabilities, dtype=np.float64)
    if proba.ndim != 2 or true.shape != proba.shape[:1] or not len(true):
        raise ValueError(
            f"expected labels [n] and probabilities [n, n_classes], not shapes {true.shape}, {proba.shape}"
        )
    if true.dtype.kind not in "iu" or true.min() < 0 or true.max() >= proba.shape[1]:
        raise ValueError(f"expected label numbers from 0 to {proba.shape[1] - 1}")
    if not np.isfinite(proba).all() or (proba < 0).any() or not np.allclose(proba.sum(axis=1), 1, atol=1e-4):
        raise ValueError("probabilities must be finite, at least 0 and sum to 1 in every row")
    return true.astype(np.int64), proba
