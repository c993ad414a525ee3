"""Metrics of regression: ``*_error`` is better when lower, ``*_score`` when higher.

Every metric takes `y_true` and `y_pred` as 1-D arrays of one length, one entry per row, in the unit of the target,
and raises ValueError for empty, unequally long or non-finite input.

Written here and not taken from scikit-learn: a bootstrap interval calls a metric a thousand times, where its checks
of each call cost more than the arithmetic.
"""

import numpy as np
from numpy.typing import ArrayLike

from portfolio_shared.evaluation.vectors import check_vectors


def root_mean_squared_log_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared difference of natural logarithms; 0.1 is roughly a 10 % error. Lower is better.

    The logarithm is plain, not ``log(1 + y)`` as in scikit-learn's metric of this name: this is the measure of the
    Ames housing competition on Kaggle. For prices of houses the two agree to four decimals.

    Raises
    ------
    ValueError
        Also if a value is zero or negative.

    Examples
    --------
    >>> round(root_mean_squared_log_error([100.0, 100.0], [110.0, 100.0]), 4)
    0.0674
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    for name, values in (("y_true", true), ("y_pred", pred)):
        if values.min() <= 0:
            raise ValueError(f"{name} must be greater than zero for a logarithm; its smallest value is {values.min()}")
    return float(np.sqrt(np.mean((np.log(pred) - np.log(true)) ** 2)))


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of ``|y_pred - y_true|``, in the unit of the target. Lower is better.

    Examples
    --------
    >>> mean_absolute_error([1.0, 2.0, 3.0], [1.0, 4.0, 2.0])
    1.0
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    return float(np.mean(np.abs(pred - true)))


def median_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Median of ``|y_pred - y_true|``, in the unit of the target: the error of a typical row. Lower is better.

    Examples
    --------
    >>> median_absolute_error([1.0, 2.0, 3.0], [1.5, 2.0, 13.0])
    0.5
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    return float(np.median(np.abs(pred - true)))


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of ``|y_pred - y_true| / |y_true|`` as a fraction: 0.08 is 8 %. Lower is better.

    Raises
    ------
    ValueError
        Also if a true value is zero.

    Examples
    --------
    >>> mean_absolute_percentage_error([100.0, 200.0], [110.0, 180.0])
    0.1
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    if zeros := int((true == 0).sum()):
        raise ValueError(f"y_true is zero in {zeros} of {len(true)} rows, where a percentage has no meaning")
    return float(np.mean(np.abs(pred - true) / np.abs(true)))


def r2_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of the variance explained: 1 is perfect, 0 no better than the mean of `y_true`. Higher is better.

    Raises
    ------
    ValueError
        Also if all true values are equal: there is no variance to explain.

    Examples
    --------
    >>> r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    # Compared, not subtracted: the deviations of a constant from its rounded mean need not be zero.
    if true.min() == true.max():
        raise ValueError(f"y_true is {true[0]} in every row, so there is no variance to explain")
    return float(1 - np.sum((pred - true) ** 2) / np.sum((true - true.mean()) ** 2))


def mean_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of ``y_pred - y_true``, the bias in the unit of the target: positive is too high. Best is zero.

    Because neither end is better, it is no metric to choose a model by.

    Examples
    --------
    >>> mean_error([1.0, 2.0], [2.0, 4.0])
    1.5
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    return float(np.mean(pred - true))
