"""When an experiment may stop that is looked at all the time: a confidence sequence for a mean.

A 95 % interval holds at one look that was fixed before. Whoever looks after every value and stops at the first interval
without zero finds a winner in about half of the experiments that have none (`make sequence-power`). A confidence
sequence holds at all looks together, so that stopping by what one sees is allowed.

Own code: confseq, of the authors of the idea, does not build without Boost, and other packages bring a solver for one
formula.
"""

import math
from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike, NDArray

FIRST_LOOK = 50
"""Values before which nothing is said: the sequence is asymptotic, as an interval by the normal distribution is."""
ALPHA = 0.05
TUNED_FOR = 500
ROUNDING = 1e-12  # share of the largest value: what differs by less is equal
MANY = 10**12  # values that no experiment has

Floats = NDArray[np.float64]


def confidence_sequence(
    differences: ArrayLike, *, alpha: float = ALPHA, tuned_for: float = TUNED_FOR
) -> tuple[Floats, Floats]:
    """Return the ends of an interval for the mean after each value, all of which hold together.

    The asymptotic confidence sequence of Robbins' normal mixture with the running variance: Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
    Statistics 52(6), Theorem 2.2 and Proposition 2.5, by which the mean may also move while values come in.

    Parameters
    ----------
    differences
        One value a unit, in the order in which they came in, finite: the order must not depend on the values.
    alpha
        Chance that the mean ever lies outside, over all looks from the `FIRST_LOOK`-th value on.
    tuned_for
        Number of values at which the interval is as narrow as this sequence can be; elsewhere it is a little wider.

    Returns
    -------
    The lower and the upper ends, as long as `differences`. They are infinite before the first look, and while all
    values are equal: a variance of zero says nothing of what comes next.

    Notes
    -----
    What is rare is not in the variance before it happens: of experiments without effect in which one model is a little
    better 99 times of 100 and much worse once, half and more find it better before that once (`make sequence-power`).

    Examples
    --------
    >>> low, high = confidence_sequence(np.tile([1.0, 3.0], 50))
    >>> float(low[48]), [round(float(end[99]), 2) for end in (low, high)]
    (-inf, [1.66, 2.34])
    """
    values = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("expected finite differences")
    n = np.arange(1, len(values) + 1)
    moved = values - values[:1]  # so that a large mean costs no digits
    mean = np.cumsum(moved) / n
    deviation = np.sqrt(np.maximum(np.cumsum(np.square(moved)) / n - np.square(mean), 0.0))
    deviation[deviation <= ROUNDING * np.maximum.accumulate(np.abs(values))] = 0.0
    half = half_width(n, deviation, alpha=alpha, tuned_for=tuned_for)
    return values[:1] + mean - half, values[:1] + mean + half


def half_width(n: ArrayLike, deviation: ArrayLike, *, alpha: float = ALPHA, tuned_for: float = TUNED_FOR) -> Floats:
    """Return half of the length of the interval after n values with this standard deviation.

    Examples
    --------
    >>> half_width([49, 50, 500, 5000], 1.0).round(3)
    array([  inf, 0.545, 0.136, 0.046])
    """
    n, deviation = np.asarray(n, dtype=np.float64), np.asarray(deviation, dtype=np.float64)
    rho2 = (math.log(1 - 2 * math.log(alpha)) - 2 * math.log(alpha)) / tuned_for  # where the width is least, nearly
    scale = n * rho2 + 1
    half = deviation * np.sqrt(2 * scale / (np.square(n) * rho2) * np.log(np.sqrt(scale) / alpha))
    return np.where((n < FIRST_LOOK) | (deviation == 0), np.inf, half)


def needed(difference: float, deviation: float, *, alpha: float = ALPHA, tuned_for: float = TUNED_FOR) -> int:
    """Return after how many values a mean of `difference` is told from zero in about two of three experiments.

    Examples
    --------
    >>> needed(0.1, 1.0), needed(-0.5, 1.0)
    (935, 57)
    """
    if difference == 0 or deviation <= 0:
        raise ValueError(f"expected a difference and a deviation, found {difference} and {deviation}")

    def found(n: int) -> bool:
        return bool(half_width(n, deviation, alpha=alpha, tuned_for=tuned_for) <= abs(difference))

    return FIRST_LOOK + bisect_left(range(FIRST_LOOK, MANY), x=True, key=found)


def rests_on(differences: ArrayLike, *, alpha: float = ALPHA) -> int:
    """Return without how many values, those that speak most for it, the last interval would hold zero; 0 if it does.

    So many false values could have made the finding: a few of hundreds are no reason to believe it.

    Examples
    --------
    >>> rests_on([*np.linspace(-1, 1, 100), *[2.0] * 50]), rests_on(np.linspace(-1, 1, 100))
    (35, 0)
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return 0
    values = np.sort(values if values.mean() > 0 else -values)
    low, _ = confidence_sequence(values, alpha=alpha)  # a beginning of these are all but the most favorable
    return int(np.argmin(low[::-1] > 0))
