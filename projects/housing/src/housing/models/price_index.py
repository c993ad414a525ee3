"""How far prices have moved since the sales that a model learned from: an index a neighborhood, as appraisers keep it.

Appraisers bring an old sale to today's price level before they compare with it (time adjustment). The level is
estimated from houses that were sold since: what each was sold for over what a model of the old sales makes of it.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ALPHA = 0.05
"""Probability that some index is taken for moved although no price has moved."""
OWN_SPREAD = 10.0
"""Houses' worth of the city's spread in a neighborhood's."""
LEAST = 30
"""Houses of two neighborhoods at least, below which nothing is said of any."""


class Level(NamedTuple):
    """The log of today's price level of a neighborhood over that of the old sales, and from how many clients."""

    voices: int
    log: float
    low: float
    high: float

    @property
    def moved(self) -> bool:
        """Whether the interval lies away from 0."""
        return self.low > 0 or self.high < 0


def levels(log_ratios: Floats, neighborhoods: Sequence[str], of: Sequence[str]) -> dict[str, Level]:
    """Return the level of each neighborhood in `of`, whose intervals hold together with probability 1 - `ALPHA`.

    A neighborhood's mean is drawn toward the city's as far as its houses are few and neighborhoods are alike:
    partial pooling, with the variance between neighborhoods by the method of moments (DerSimonian and Laird 1986,
    "Meta-analysis in clinical trials", Controlled Clinical Trials 7). The variance within is the neighborhood's own,
    drawn toward the city's (Smyth 2004, "Linear models and empirical Bayes methods", section 3): prices scatter more
    in some than in others. Where no house was sold, the level is the city's.

    Parameters
    ----------
    log_ratios
        Log of the price paid over the one that a model of the old sales gives, shape (n,); one a house.

    Examples
    --------
    >>> ratios = np.array([0.21, 0.24, 0.21, 0.24] * 4 + [0.02, -0.01, 0.01, -0.02] * 4)
    >>> for name, level in levels(ratios, ["hill"] * 16 + ["lake"] * 16, ["hill", "lake"]).items():
    ...     print(name, round(level.log, 2), level.moved)
    hill 0.22 True
    lake 0.0 False
    """
    code = np.array([of.index(name) for name in neighborhoods], dtype=np.intp)
    n = np.bincount(code, minlength=len(of)).astype(np.float64)
    if n.sum() < LEAST or (n > 0).sum() < 2:
        return {}
    mean = np.bincount(code, log_ratios, len(of)) / np.maximum(n, 1)
    squares = np.bincount(code, (log_ratios - mean[code]) ** 2, len(of))
    free = np.maximum(n - 1, 0)
    within = (squares + OWN_SPREAD * squares.sum() / free.sum()) / (free + OWN_SPREAD) / np.maximum(n, 1)

    weight = np.where(n > 0, 1 / within, 0.0)
    apart = (weight * (mean - np.average(mean, weights=weight)) ** 2).sum() - ((n > 0).sum() - 1)
    between = max(0.0, apart / (weight.sum() - (weight**2).sum() / weight.sum()))

    weight = np.where(n > 0, 1 / (within + between), 0.0)
    city, own = np.average(mean, weights=weight), between * weight
    level = city + own * (mean - city)
    deviation = np.sqrt(between * (1 - own) + (1 - own) ** 2 / weight.sum())
    reach = NormalDist().inv_cdf(1 - ALPHA / 2 / (n > 0).sum()) * deviation
    rows = zip(n.astype(int).tolist(), level.tolist(), (level - reach).tolist(), (level + reach).tolist(), strict=True)
    return {name: Level(*row) for name, row in zip(of, rows, strict=True)}
