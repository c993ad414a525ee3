"""Whom the errors fall on: mean errors by neighborhood, in thirds of the town and one by one.

The errors are out-of-fold ones of the training part: four times as many houses as the test part has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.data.load import Sales
from housing.models.fit import OutOfFold
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval

Floats = NDArray[np.float64]

THIRDS = ("cheapest third of the neighborhoods", "middle third", "most expensive third")
LEAST_HOUSES = 20
"""Of a neighborhood whose own mean error is looked at."""


@dataclass(frozen=True)
class Area:
    """The errors of some neighborhoods, as shares of the price paid; above 0 is too high.

    `error` is the mean size of an error, `too_high` the share of houses that are priced over 10 % too high. A few sales
    at a third of a house's worth move the mean error, and not the median error.
    """

    name: str
    neighborhoods: int
    houses: int
    mean_error: Interval
    median_error: Interval
    error: Interval
    too_high: Interval


def by_area(sales: Sales, out_of_fold: OutOfFold, *, seed: int = 0) -> list[Area]:
    """Return the errors in thirds of the neighborhoods by their median price, and in each with enough houses."""
    place, relative = sales.frame["neighborhood"].to_numpy(dtype=str), relative_errors(out_of_fold)
    groups = dict(zip(THIRDS, thirds_of_town(sales), strict=True))
    groups |= {name: [name] for name in np.unique(place).tolist() if np.sum(place == name) >= LEAST_HOUSES}
    return [area(name, members, relative[np.isin(place, members)], seed=seed) for name, members in groups.items()]


def thirds_of_town(sales: Sales) -> list[list[str]]:
    """Return the neighborhoods in thirds by their median price, the cheapest first."""
    place = sales.frame["neighborhood"].to_numpy(dtype=str)
    names = np.unique(place)
    medians = [float(np.median(sales.prices[place == name])) for name in names]
    return [third.tolist() for third in np.array_split(names[np.argsort(medians, kind="stable")], 3)]


def relative_errors(out_of_fold: OutOfFold) -> Floats:
    """Return (predicted - paid) / paid of each house, shape (n,)."""
    return np.asarray(np.exp(out_of_fold.log_prices) / out_of_fold.prices - 1)


def area(name: str, members: list[str], relative: Floats, *, seed: int) -> Area:
    """Return the errors of the houses of some neighborhoods, shape (n,)."""

    def interval(metric: Callable[[Floats], float], values: Floats = relative) -> Interval:
        return bootstrap_interval(metric, values, seed=seed)

    def mean(values: Floats) -> float:
        return float(values.mean())

    middle = interval(lambda drawn: float(np.median(drawn)))
    sizes = interval(mean, np.abs(relative)), interval(mean, (relative > 0.1).astype(np.float64))
    return Area(name, len(members), len(relative), interval(mean), middle, *sizes)
