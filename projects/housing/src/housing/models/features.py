"""From a complete record to the numbers both members of the model read: the same code in training and serving.

Nothing here is learned from data; what is learned lives in `models/linear.py` (knots, scales) and `models/encoding.py`
(neighbourhood statistics).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import columns
from housing.data.values import MANY, ONE, Arithmetic, Values, code, table_of
from housing.models.imputation import Complete

Floats = NDArray[np.float64]


def _bathrooms(x: Values, _: Arithmetic) -> Any:
    return x["full_bath"] + x["bsmt_full_bath"] + 0.5 * (x["half_bath"] + x["bsmt_half_bath"])


def _years(x: Values, since: Any, of: Arithmetic) -> Any:
    return of.larger(0.0, x["yr_sold"] - since)


def _porches(x: Values, _: Arithmetic) -> Any:
    return x["open_porch_sf"] + x["enclosed_porch"] + x["three_ssn_porch"] + x["screen_porch"] + x["wood_deck_sf"]


def _basement_finish(x: Values, _: Arithmetic) -> Any:
    return x["bsmtfin_sf_1"] * x["bsmtfin_type_1"] + x["bsmtfin_sf_2"] * x["bsmtfin_type_2"]


def _quality_sum(x: Values, _: Arithmetic) -> Any:
    return x["exter_qual"] + x["kitchen_qual"] + x["bsmt_qual"] + x["heating_qc"] + x["overall_qual"]


DERIVED: dict[str, tuple[str, Callable[[Values, Arithmetic], Any]]] = {
    # name: the group of an explanation that its contribution counts for, and its formula, which may read what stands
    # above it. A bundle stores positions, so the order stays.
    "total_sf": ("Living area", lambda x, _: x["gr_liv_area"] + x["total_bsmt_sf"]),
    "finished_sf": (
        "Living area",
        lambda x, _: x["gr_liv_area"] - x["low_qual_fin_sf"] + (x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]),
    ),
    "basement_finished_sf": ("Basement", lambda x, _: x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]),
    "basement_finished_share": (
        "Basement",
        lambda x, of: x["basement_finished_sf"] / of.larger(1.0, x["total_bsmt_sf"]),
    ),
    "basement_finish_score": ("Basement", _basement_finish),
    "bathrooms": ("Bathrooms and rooms", _bathrooms),
    "baths_per_bedroom": ("Bathrooms and rooms", lambda x, of: x["bathrooms"] / of.larger(1.0, x["bedroom_abv_gr"])),
    "room_size": ("Living area", lambda x, of: x["gr_liv_area"] / of.larger(1.0, x["tot_rms_abv_grd"])),
    "age": ("Age", lambda x, of: _years(x, x["year_built"], of)),
    "remodel_age": ("Age", lambda x, of: _years(x, of.larger(x["year_remod_add"], x["year_built"]), of)),
    "garage_age": ("Garage", lambda x, of: _years(x, x["garage_yr_blt"], of)),
    "was_remodelled": ("Age", lambda x, _: x["year_remod_add"] > x["year_built"]),
    "porch_sf": ("Porches and extras", _porches),
    "quality_x_total_sf": ("Quality", lambda x, _: x["overall_qual"] * x["total_sf"]),
    "quality_x_living_area": ("Quality", lambda x, _: x["overall_qual"] * x["gr_liv_area"]),
    "quality_x_condition": ("Condition", lambda x, _: x["overall_qual"] * x["overall_cond"]),
    "quality_sum": ("Quality", _quality_sum),
    "months_since_2006": ("Sale", lambda x, _: 12 * (x["yr_sold"] - 2006) + x["mo_sold"]),
    "living_to_lot": ("Lot", lambda x, _: x["gr_liv_area"] / x["lot_area"]),
    "log_living_to_lot": ("Lot", lambda x, _: np.log(x["living_to_lot"])),
    "garage_score": ("Garage", lambda x, _: x["garage_area"] * x["garage_finish"]),
    "fireplace_score": ("Fireplaces", lambda x, _: x["fireplaces"] * x["fireplace_qu"]),
    "is_new": ("Sale", lambda x, _: x["sale_type"] == code("sale_type", "New")),
    "is_partial": ("Sale", lambda x, _: x["sale_condition"] == code("sale_condition", "Partial")),
    "is_abnormal": ("Sale", lambda x, _: x["sale_condition"] == code("sale_condition", "Abnorml")),
    # Sold before completion and over 4,000 square feet: cheap for their size, so they get a level of their own.
    "large_and_partial": ("Sale", lambda x, _: x["is_partial"] & (x["gr_liv_area"] > 4000)),
}


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
    heading = DERIVED[feature][0] if feature in DERIVED else columns()[feature].group
    return groups().index(heading)


def design(houses: Sequence[Complete]) -> Design:
    """Turn complete records into arrays, one row a house."""
    return design_table(table_of(houses))


def design_one(house: Values) -> Design:
    """Turn one complete house into arrays without an axis of houses: a third of the time of a table of one row."""
    numbers, codes = _names()
    house = _derived(house, ONE)
    return Design(np.array(numbers(house), dtype=np.float64), np.array(codes(house), dtype=np.intp))


def design_few(houses: Sequence[Values]) -> Design:
    """Turn a few complete houses into arrays, one row a house."""
    numbers, codes = _names()
    houses = [_derived(house, ONE) for house in houses]
    return Design(np.array([*map(numbers, houses)], dtype=np.float64), np.array([*map(codes, houses)], dtype=np.intp))


def design_table(table: Values) -> Design:
    """Turn a complete table into arrays, one row a house."""
    numbers, codes = _names()
    table = _derived(table, MANY)
    return Design(np.array(numbers(table), dtype=np.float64).T, np.array(codes(table), dtype=np.intp).T)


def _derived(x: Values, of: Arithmetic) -> Values:
    """Return the columns and the features derived from them."""
    x = x.copy()
    for name, (_, formula) in DERIVED.items():
        x[name] = formula(x, of)
    return x


@cache
def _names() -> tuple[Callable[[Values], tuple[Any, ...]], Callable[[Values], tuple[Any, ...]]]:
    """Return what takes the numbers and what takes the codes of a house or a table, in the order of their names."""
    return itemgetter(*number_names()), itemgetter(*category_names())
