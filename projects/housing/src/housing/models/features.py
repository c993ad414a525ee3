"""From a complete record to the numbers both members of the model read: the same code in training and serving.

Nothing here is learned from data; what is learned lives in `models/linear.py` (knots, scales) and `models/encoding.py`
(neighborhood statistics).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.data.values import MANY, ONE, Arithmetic, Values, code, stacked, table_of
from housing.models.imputation import Complete

Floats = NDArray[np.float64]

FEW = 16  # above it columns take less time than houses


DERIVED: dict[str, str] = {
    "total_sf": "Living area",
    "finished_sf": "Living area",
    "basement_finished_sf": "Basement",
    "basement_finished_share": "Basement",
    "basement_finish_score": "Basement",
    "bathrooms": "Bathrooms and rooms",
    "baths_per_bedroom": "Bathrooms and rooms",
    "room_size": "Living area",
    "age": "Age",
    "remodel_age": "Age",
    "garage_age": "Garage",
    "was_remodelled": "Age",
    "porch_sf": "Porches and extras",
    "quality_x_total_sf": "Quality",
    "quality_x_living_area": "Quality",
    "quality_x_condition": "Condition",
    "quality_sum": "Quality",
    "months_since_2006": "Sale",
    "living_to_lot": "Lot",
    "log_living_to_lot": "Lot",
    "garage_score": "Garage",
    "fireplace_score": "Fireplaces",
    "is_new": "Sale",
    "is_partial": "Sale",
    "is_abnormal": "Sale",
    "large_and_partial": "Sale",
}
"""What `derived` returns: the group of an explanation that it counts for. Bundles store positions: the order stays."""


def derived(x: Values, of: Arithmetic) -> tuple[Any, ...]:
    """Return the features that are derived from the columns of a house or a table, in the order of `DERIVED`."""
    living, basement, quality = x["gr_liv_area"], x["total_bsmt_sf"], x["overall_qual"]
    built, remodeled, sold = x["year_built"], x["year_remod_add"], x["yr_sold"]
    finished = x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]
    bathrooms = x["full_bath"] + x["bsmt_full_bath"] + 0.5 * (x["half_bath"] + x["bsmt_half_bath"])
    total_sf, living_to_lot = living + basement, living / x["lot_area"]
    is_partial = x["sale_condition"] == code("sale_condition", "Partial")
    return (
        total_sf,
        living - x["low_qual_fin_sf"] + finished,
        finished,
        finished / of.larger(1.0, basement),
        x["bsmtfin_sf_1"] * x["bsmtfin_type_1"] + x["bsmtfin_sf_2"] * x["bsmtfin_type_2"],
        bathrooms,
        bathrooms / of.larger(1.0, x["bedroom_abv_gr"]),
        living / of.larger(1.0, x["tot_rms_abv_grd"]),
        of.larger(0.0, sold - built),
        of.larger(0.0, sold - of.larger(remodeled, built)),
        of.larger(0.0, sold - x["garage_yr_blt"]),
        remodeled > built,
        x["open_porch_sf"] + x["enclosed_porch"] + x["three_ssn_porch"] + x["screen_porch"] + x["wood_deck_sf"],
        quality * total_sf,
        quality * living,
        quality * x["overall_cond"],
        x["exter_qual"] + x["kitchen_qual"] + x["bsmt_qual"] + x["heating_qc"] + quality,
        12 * (sold - 2006) + x["mo_sold"],
        living_to_lot,
        np.log(living_to_lot),
        x["garage_area"] * x["garage_finish"],
        x["fireplaces"] * x["fireplace_qu"],
        x["sale_type"] == code("sale_type", "New"),
        is_partial,
        x["sale_condition"] == code("sale_condition", "Abnorml"),
        # Sold before completion and over 4,000 square feet: cheap for their size, so they get a level of their own.
        is_partial & (living > 4000),
    )


@dataclass(frozen=True)
class Design:
    """n houses as arrays; of one house alone these may be without their first axis, as all that is made of them.

    Attributes
    ----------
    numbers
        Shape (n, len(number_names())): quantities, ordinals as 0, 1, 2 ... from worst to best, derived features.
    codes
        Shape (n, len(category_names())): the position of the code among the column's choices.
    """

    numbers: Floats
    codes: NDArray[np.intp]

    def common_codes(self, least: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the columns and the codes that at least so many houses have; rarer codes share the intercept."""
        stride = int(self.codes.max()) + 1
        pairs, count = np.unique(self.codes + stride * np.arange(self.codes.shape[1]), return_counts=True)
        return np.divmod(pairs[count >= least], stride)

    @property
    def large_and_partial(self) -> Floats:
        """1 where a house is large and was sold partly built, else 0; shape (n,)."""
        return np.asarray(self.numbers[..., _exception()])


@cache
def number_names() -> tuple[str, ...]:
    """Names of the columns of `Design.numbers`."""
    quantities = (name for name, column in columns().items() if column.is_numeric)
    levels = (name for name, column in columns().items() if column.kind == "ordinal")
    return (*quantities, *levels, *DERIVED)


@cache
def _exception() -> int:
    return number_names().index("large_and_partial")


@cache
def category_names() -> tuple[str, ...]:
    """Names of the columns of `Design.codes`."""
    return tuple(name for name, column in columns().items() if column.kind == "category")


@cache
def groups() -> tuple[str, ...]:
    """Headings of an explanation, in the order of the column table."""
    return tuple(dict.fromkeys(column.group for column in columns().values()))


@cache
def fields_of(group: str) -> list[str]:
    """Return the columns that a group of an explanation sums."""
    return [name for name, column in columns().items() if column.group == group]


def group_of(feature: str) -> int:
    """Return the position in `groups()` that a number's or a category's contribution counts for."""
    heading = DERIVED.get(feature) or columns()[feature].group
    return groups().index(heading)


def design(houses: Sequence[Complete]) -> Design:
    """Turn complete records into arrays, one row a house."""
    return design_table(table_of(houses))


def design_one(house: Values) -> Design:
    """Turn one complete house into arrays without an axis of houses: a third of the time of a table of one row."""
    numbers, codes = _names()
    row = (*numbers(house), *derived(house, ONE))
    return Design(np.array(row, dtype=np.float64), np.array(codes(house), dtype=np.intp))


def design_houses(houses: Sequence[Values]) -> Design:
    """Turn complete houses into arrays, one row a house."""
    if len(houses) > FEW:
        return design_table(stacked(houses))
    numbers, codes = _names()
    rows = [(*numbers(house), *derived(house, ONE)) for house in houses]
    return Design(np.array(rows, dtype=np.float64), np.array([*map(codes, houses)], dtype=np.intp))


def design_table(table: Values) -> Design:
    """Turn a complete table into arrays, one row a house."""
    numbers, codes = _names()
    rows = (*numbers(table), *derived(table, MANY))
    return Design(np.array(rows, dtype=np.float64).T, np.array(codes(table), dtype=np.intp).T)


@cache
def _names() -> tuple[Callable[[Values], tuple[Any, ...]], Callable[[Values], tuple[Any, ...]]]:
    """Return what takes the numbers that are not derived, and the codes, of a house or a table, in their order."""
    return itemgetter(*number_names()[: -len(DERIVED)]), itemgetter(*category_names())
