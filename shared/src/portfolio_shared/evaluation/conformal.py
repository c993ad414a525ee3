"""Prediction intervals that hold what they promise, whatever the model: conformal prediction."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.shares import exact_share


def conformal_quantile(scores: ArrayLike, *, coverage: float) -> float:
    """Return the ceil((n + 1) * coverage)-th smallest of n conformity scores.

    A new score from the same distribution is at most this large with probability at least `coverage`, whatever
    the distribution (Vovk et al. 2005; Lei et al. 2018, section 2). The scores must come from rows that the
    model was not fitted on.

    Raises
    ------
    ValueError
        If there are too few scores for the coverage; the message says how many it takes.

    Examples
    --------
    >>> conformal_quantile([5.0, 1.0, 3.0, 2.0], coverage=0.5)
    3.0
    """
    values = _check_vectors(scores=scores)[0]
    n = len(values)
    share = exact_share(coverage, "coverage")
    rank = math.ceil((n + 1) * share)
    if rank > n:
        needed = math.ceil(share / (1 - share))
        raise ValueError(f"{n} scores are too few for a coverage of {coverage}: at least {needed} are needed")
    return float(np.partition(values, rank - 1)[rank - 1])


def split_conformal(y_true: ArrayLike, y_pred: ArrayLike, *, coverage: float) -> float:
    """Half width of the interval ``y_pred +- half_width`` (Lei et al. 2018, algorithm 2).

    `y_true` and `y_pred` are 1-D and come from held-out calibration rows; the width is in their unit and the
    same for every row.

    Examples
    --------
    >>> split_conformal([10.0, 20.0, 30.0], [11.0, 18.0, 33.0], coverage=0.75)
    3.0
    """
    true, pred = _check_vectors(y_true=y_true, y_pred=y_pred)
    return conformal_quantile(np.abs(true - pred), coverage=coverage)


def conformalized_quantile_correction(y_true: ArrayLike, low: ArrayLike, high: ArrayLike, *, coverage: float) -> float:
    """Amount by which quantile predictions must be widened: ``[low - amount, high + amount]``.

    Conformalized quantile regression (Romano, Patterson and Candes 2019, equation 6). The amount is negative
    where the quantiles were too wide. Predicted quantiles may cross (`low` above `high`) in calibration rows.

    Examples
    --------
    >>> conformalized_quantile_correction([1.0, 5.0, 9.0], [2.0, 4.0, 8.0], [4.0, 6.0, 8.5], coverage=0.75)
    1.0
    """
    true, lower, upper = _check_vectors(y_true=y_true, low=low, high=high)
    return conformal_quantile(np.maximum(lower - true, true - upper), coverage=coverage)


def normalized_conformal(y_true: ArrayLike, y_pred: ArrayLike, scale: ArrayLike, *, coverage: float) -> float:
    """Multiplier of `scale` in the interval ``y_pred +- multiplier * scale`` (Lei et al. 2018, section 5.2).

    `scale` is the predicted size of the error of each row, greater than zero, in the unit of `y_true`.

    Examples
    --------
    >>> normalized_conformal([10.0, 20.0, 30.0], [11.0, 18.0, 33.0], [1.0, 1.0, 6.0], coverage=0.75)
    2.0
    """
    true, pred, width = _check_vectors(y_true=y_true, y_pred=y_pred, scale=scale)
    if width.min() <= 0:
        raise ValueError(f"scale must be greater than zero in every row; the smallest is {width.min()}")
    return conformal_quantile(np.abs(true - pred) / width, coverage=coverage)


def interval_coverage(y_true: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of rows with ``low <= y_true <= high``, from 0 to 1; compare it with the nominal coverage.

    Examples
    --------
    >>> interval_coverage([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 4.0, 3.0], [1.5, 2.5, 5.0, 4.0])
    0.75
    """
    true, lower, upper = _check_vectors(y_true=y_true, low=low, high=high)
    _check_order(lower, upper)
    return float(np.mean((lower <= true) & (true <= upper)))


def mean_interval_width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean of ``high - low`` in the unit of the target; narrower is better at equal coverage.

    Examples
    --------
    >>> mean_interval_width([1.0, 2.0], [3.0, 6.0])
    3.0
    """
    lower, upper = _check_vectors(low=low, high=high)
    _check_order(lower, upper)
    return float(np.mean(upper - lower))


def _check_vectors(**named: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    vectors = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    shapes = {name: vector.shape for name, vector in vectors.items()}
    if any(vector.ndim != 1 for vector in vectors.values()) or len(set(shapes.values())) > 1:
        raise ValueError(f"expected 1-D arrays of one length, not shapes {shapes}")
    for name, vector in vectors.items():
        if len(vector) == 0:
            raise ValueError(f"{name} is empty")
        if not np.isfinite(vector).all():
            raise ValueError(f"{name} has {int((~np.isfinite(vector)).sum())} values that are not finite")
    return tuple(vectors.values())


def _check_order(low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    crossed = int((low > high).sum())
    if crossed:
        raise ValueError(f"low is above high in {crossed} of {len(low)} intervals")
