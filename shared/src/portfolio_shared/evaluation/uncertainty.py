"""Bootstrap intervals, and the paired bootstrap of two models, which `scipy.stats.bootstrap` does not report.

A paired comparison draws the same rows for both models and gives the probability that the difference is below zero.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOW, HIGH = 0.025, 0.975  # quantiles that the 95 % interval lies between
STANDARD_ERRORS = 1.96  # of a mean difference of pairs, above which it is more than chance


class Interval(NamedTuple):
    """An estimate and the interval around it, all in the unit of the metric."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Challenger against champion on the same rows.

    Attributes
    ----------
    difference
        Error of the challenger minus error of the champion: negative means that the challenger is better.
    probability_better
        Share of the resamples in which the challenger is better; a tie counts half.
    n
        Number of rows that both were compared on.
    hangs_on_one
        Whether the upper end is known to lie on the other side of zero without one of the rows.
    """

    difference: Interval
    probability_better: float
    n: int
    hangs_on_one: bool = False


def bootstrap_interval(
    metric: Callable[..., float], *arrays: ArrayLike, n_resamples: int = 1000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval, 95 %, of a metric over rows.

    Rows are drawn with replacement, the same rows from every array (Efron and Tibshirani 1993, chapter 13).
    The interval says how far the metric would move on another test set of this size; it does not contain the
    variation that another training run would bring.

    Parameters
    ----------
    metric
        Function of the arrays, for example ``mean_absolute_error``.
    *arrays
        Arrays with one row per sample along the first axis, all of the same length, at least two rows, no NaN.
    n_resamples, seed
        Number of resamples, and the seed of their draw: the same seed gives the same interval.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or the metric is not finite on the data or on a resample.

    Examples
    --------
    >>> interval = bootstrap_interval(lambda y: float(y.mean()), [1.0, 2.0, 3.0, 4.0], seed=0)
    >>> interval.estimate, interval.low, interval.high
    (2.5, 1.5, 3.5)
    """
    rows = _check_rows(arrays)
    return _resample(lambda *drawn: _finite_metric(metric, *drawn), rows, n_resamples=n_resamples, seed=seed)[0]


def paired_bootstrap(
    metric: Callable[..., float],
    y_true: ArrayLike,
    pred_champion: ArrayLike,
    pred_challenger: ArrayLike,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two models on the same resamples of the same rows.

    Rows that are hard for both models cancel in the difference, so this sees much smaller differences than two
    separate intervals do (Efron and Tibshirani 1993, chapter 16; Koehn 2004 for model comparison).

    Parameters
    ----------
    metric
        Function ``(y_true, y_pred) -> float``, an error: lower is better.
    y_true, pred_champion, pred_challenger
        Arrays with one row per sample along the first axis, of the same length.
    n_resamples, seed
        As in `bootstrap_interval`.

    Examples
    --------
    >>> def mean_absolute_error(y_true, y_pred):
    ...     return float(np.mean(np.abs(y_true - y_pred)))
    >>> y_true = np.array([10.0, 20.0, 30.0])
    >>> comparison = paired_bootstrap(mean_absolute_error, y_true, y_true + 3.0, y_true - 1.0)
    >>> comparison.difference
    Interval(estimate=-2.0, low=-2.0, high=-2.0)
    >>> comparison.probability_better
    1.0
    """
    rows = _check_rows((y_true, pred_champion, pred_challenger))

    def difference(true: NDArray[Any], champion: NDArray[Any], challenger: NDArray[Any]) -> float:
        return _finite_metric(metric, true, challenger) - _finite_metric(metric, true, champion)

    interval, values = _resample(difference, rows, n_resamples=n_resamples, seed=seed)
    better = float(np.mean(values < 0) + 0.5 * np.mean(values == 0))
    return PairedComparison(difference=interval, probability_better=better, n=len(rows[0]))


def better_by_more_than_chance(challenger_errors: ArrayLike, champion_errors: ArrayLike) -> bool:
    """Return whether the first mean is lower by more than 1.96 standard errors; pairs of the same folds or users.

    Examples
    --------
    >>> better_by_more_than_chance([0.1, 0.2, 0.3], [0.2, 0.3, 0.5])
    True
    >>> better_by_more_than_chance([0.2, 0.3, 0.5], [0.2, 0.3, 0.9])  # a single pair differs
    False
    """
    gains = np.subtract(champion_errors, challenger_errors)
    return bool(np.mean(gains) > STANDARD_ERRORS * np.std(gains, ddof=1) / math.sqrt(len(gains)))


def _resample(
    statistic: Callable[..., float], rows: tuple[NDArray[Any], ...], *, n_resamples: int, seed: int
) -> tuple[Interval, NDArray[np.float64]]:
    """Return the statistic with its interval, and its value on each resample."""
    rng = np.random.default_rng(seed)
    n = len(rows[0])
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        # One draw at a time: a table of all draws would need n * n_resamples numbers of memory.
        drawn = rng.integers(n, size=n)
        values[i] = statistic(*(array[drawn] for array in rows))
    return Interval(statistic(*rows), float(np.quantile(values, LOW)), float(np.quantile(values, HIGH))), values


def _finite_metric(metric: Callable[..., float], *sampled: NDArray[Any]) -> float:
    value = float(metric(*sampled))
    if not math.isfinite(value):
        name = getattr(metric, "__name__", repr(metric))
        raise ValueError(f"{name} is {value} on {len(sampled[0])} rows; a bootstrap needs a finite metric")
    return value


def wilson_interval(
    share: NDArray[np.float64], n: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of 95 % intervals of shares of `n` rows each (Wilson 1927); no end leaves 0 to 1.

    Examples
    --------
    >>> low, high = wilson_interval(np.array([0.9]), np.array([100.0]))
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.826, 0.945)
    """
    z = 1.959964  # 95 %
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return center - half, center + half


def _check_rows(arrays: tuple[ArrayLike, ...]) -> tuple[NDArray[Any], ...]:
    rows = tuple(np.asarray(array) for array in arrays)
    lengths = [len(array) for array in rows]
    if len(set(lengths)) > 1:
        raise ValueError(f"arrays have different numbers of rows: {lengths}")
    if lengths[0] < 2:
        raise ValueError(f"a bootstrap needs at least 2 rows, not {lengths[0]}")
    for position, array in enumerate(rows):
        if array.dtype.kind == "O" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise ValueError(f"array {position} ({array.dtype}) has values that are missing or not finite")
    return rows
