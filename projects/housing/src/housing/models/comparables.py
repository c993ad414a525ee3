"""Comparable sales: the sold houses that the model sees as most like this one.

Two houses are alike when each group (location, size, quality ...) adds about the same to their prices, so the
distance is taken between contributions to the log price: what does not matter for the price does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.models.imputation import Complete

Floats = NDArray[np.float64]

ELSEWHERE = 0.05  # distance added for another neighborhood: with all else equal, people compare with houses nearby
HALF = 0.1  # distance at which similarity has fallen to a half


@dataclass(frozen=True)
class Sale:
    """A sold house, with what a person compares; price in dollars of its year of sale, areas in square feet."""

    price: float
    neighborhood: str
    year_built: int
    gr_liv_area: float
    overall_qual: int
    lot_area: float
    yr_sold: int
    similarity: float


@dataclass(frozen=True)
class Comparables:
    """The training houses; arrays only, one row a sold house."""

    contributions: Floats  # (n, n_groups)
    squared_norm: Floats  # of the contributions, (n,)
    price: Floats
    neighborhood: NDArray[np.intp]  # position of the code among the column's choices
    year_built: Floats
    gr_liv_area: Floats
    overall_qual: Floats
    lot_area: Floats
    yr_sold: Floats

    def nearest(self, neighborhood: int, contributions: Floats, *, k: int = 5) -> list[Sale]:
        """Return the k most similar sales, the most similar first.

        `neighborhood` is the position of the house's code, `contributions` is what its groups add, shape (n_groups,).
        """
        codes = list(columns()["neighborhood"].choices)
        elsewhere = self.neighborhood != neighborhood
        # |a - b|^2 as |a|^2 - 2 ab + |b|^2: one product of a matrix and a vector, which rounding may leave below 0.
        squared = self.squared_norm - 2 * (self.contributions @ contributions) + contributions @ contributions
        distance = np.sqrt(np.maximum(squared, 0.0)) + ELSEWHERE * elsewhere
        nearest = np.argpartition(distance, k)[:k] if k < len(distance) else np.arange(len(distance))
        return [
            Sale(
                price=float(self.price[i]),
                neighborhood=codes[int(self.neighborhood[i])],
                year_built=int(self.year_built[i]),
                gr_liv_area=float(self.gr_liv_area[i]),
                overall_qual=int(self.overall_qual[i]),
                lot_area=float(self.lot_area[i]),
                yr_sold=int(self.yr_sold[i]),
                similarity=round(0.5 ** (float(distance[i]) / HALF), 3),
            )
            for i in nearest[np.argsort(distance[nearest])]
        ]


def fit_comparables(houses: Sequence[Complete], prices: Floats, contributions: Floats) -> Comparables:
    """Keep the training houses, their prices (dollars) and their contributions, shape (n, n_groups)."""
    codes = list(columns()["neighborhood"].choices)
    numbers = ("year_built", "gr_liv_area", "overall_qual", "lot_area", "yr_sold")
    return Comparables(
        contributions=contributions,
        squared_norm=(contributions**2).sum(axis=1),
        price=prices,
        neighborhood=np.array([codes.index(str(house["neighborhood"])) for house in houses], dtype=np.intp),
        **{name: np.array([float(house[name]) for house in houses]) for name in numbers},
    )
