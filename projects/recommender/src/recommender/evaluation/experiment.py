"""How many people an A/B test needs, and for how long; docs/experiment.md has the design."""

import math
from statistics import NormalDist

DIFFERENCE = 0.02  # of people with a hit: the least that is worth a new model
LEVEL, POWER = 0.05, 0.8
A_WEEK = 5_000  # people who visit in a week: an assumption, not a measurement
LEAST_WEEKS = 2  # whole weeks, so that weekdays and novelty even out


def people_per_arm(share: float, difference: float, *, level: float = LEVEL, power: float = POWER) -> int:
    """Return how many people each arm needs to see a difference between two shares (normal approximation).

    Examples
    --------
    >>> people_per_arm(0.5, 0.1)
    385
    """
    other = share + difference
    variance = share * (1 - share) + other * (1 - other)
    z = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(power)
    return math.ceil(z**2 * variance / difference**2)


def weeks(per_arm: int, a_week: int = A_WEEK) -> int:
    """Return for how many whole weeks two arms run, if so many new people come in a week."""
    return max(LEAST_WEEKS, math.ceil(2 * per_arm / a_week))
