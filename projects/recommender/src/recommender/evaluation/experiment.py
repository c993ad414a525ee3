"""How many people an experiment takes, and how long; docs/after-deployment.md has the designs."""

import math
from statistics import NormalDist

from portfolio_shared.operations.comparison import CLIENTS
from portfolio_shared.operations.sequences import needed

DIFFERENCE = 0.02  # of people with a hit: the least that is worth a new model
LEVEL, POWER = 0.05, 0.8
A_WEEK = 5_000  # people who visit in a week: an assumption, not a measurement
LEAST_WEEKS = 2  # whole weeks, so that weekdays and novelty even out
TIED = 2 / 3  # of interleaved lists: an assumption
SIGN_DEVIATION = 0.6  # of who won a list, -1, 0 or 1, rounded up from what so many ties leave at most
PREFERENCES = {"large": 0.33, "medium": 0.22, "small": 0.14}
"""Means of who won a list that this experiment is planned for; with so many ties none is above a third."""


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


def people_interleaved(preference: float) -> int:
    """Return after how many people about two of three experiments with interleaved lists see such a preference.

    Examples
    --------
    >>> people_interleaved(0.22), people_interleaved(0.5)  # before so many people nothing is decided
    (88, 52)
    """
    return max(needed(preference, SIGN_DEVIATION), CLIENTS)
