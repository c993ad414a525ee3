"""Prediction intervals that hold what they promise, whatever the model: conformal prediction."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.vectors import check_vectors


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
    values = check_vectors(scores=scores)[0]
    n = len(values)
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    # Exact arithmetic: 100 * 0.07 is 7.000000000000001 in floats, and its ceiling would be one rank too high.
    share = Fraction(str(float(coverage)))
    rank = math.ceil((n + 1) * share)
    if rank > n:
        needed = math.ceil(share / (1 - share))
        raise ValueError(f"{n} scores are too few for a coverage of {coverage}: at least {needed} are needed")
    return float(np.partition(values, rank - 1)[rank - 1])


def interval_coverage(y_true: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of rows with ``low <= y_true <= high``, from 0 to 1; compare it with the nominal coverage.

    Examples
    --------
    >>> interval_coverage([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 4.0, 3.0], [1.5, 2.5, 5.0, 4.0])
    0.75
    """
    true, lower, upper = check_vectors(y_true=y_true, low=low, high=high)
    _check_order(lower, upper)
    return float(np.mean((lower <= true) & (true <= upper)))


def mean_interval_width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean of ``high - low`` in the unit of the target; narrower is better at equal coverage.

    Examples
    --------
    >>> mean_interval_width([1.0, 2.0], [3.0, 6.0])
    3.0
    """
    lower, upper = check_vectors(low=low, high=high)
    _check_order(lower, upper)
    return float(np.mean(upper - lower))


def _check_order(low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    crossed = int((low > high).sum())
    if crossed:
        raise ValueError(f"low is above high in {crossed} of {len(low)} intervals")
