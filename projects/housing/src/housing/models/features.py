"""From a complete record to the numbers both members of the model read: the same code in training and serving.

Nothing here is learned from data; what is learned lives in `models/linear.py` (knots, scales) and `models/encoding.py`
(neighbourhood statistics).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import NONE, columns
from housing.models.imputation import Complete

Floats = NDArray[np.float64]

Numbers = dict[str, float]
"""Column or feature -> value of one house."""


def _bathrooms(x: Numbers, _: Complete) -> float:
    return x["full_bath"] + x["bsmt_full_bath"] + 0.5 * (x["half_bath"] + x["bsmt_half_bath"])


def _years(x: Numbers, since: float) -> float:
    return max(0.0, x["yr_sold"] - since)


def _porches(x: Numbers, _: Complete) -> float:
    return x["open_porch_sf"] + x["enclosed_porch"] + x["three_ssn_porch"] + x["screen_porch"] + x["wood_deck_sf"]


def _basement_finish(x: Numbers, _: Complete) -> float:
    return x["bsmtfin_sf_1"] * x["bsmtfin_type_1"] + x["bsmtfin_sf_2"] * x["bsmtfin_type_2"]


def _quality_sum(x: Numbers, _: Complete) -> float:
    return x["exter_qual"] + x["kitchen_qual"] + x["bsmt_qual"] + x["heating_qc"] + x["overall_qual"]


DERIVED: dict[str, tuple[str, Callable[[Numbers, Complete], float]]] = {
    # name: the group of an explanation that its contribution counts for, and its formula, which may read what stands
    # above it. A bundle stores positions, so the order stays.
    "total_sf": ("Living area", lambda x, _: x["gr_liv_area"] + x["total_bsmt_sf"]),
    "finished_sf": (
        "Living area",
        lambda x, _: x["gr_liv_area"] - x["low_qual_fin_sf"] + (x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]),
    ),
    "basement_finished_sf": ("Basement", lambda x, _: x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]),
    "basement_finished_share": ("Basement", lambda x, _: x["basement_finished_sf"] / max(1.0, x["total_bsmt_sf"])),
    "basement_finish_score": ("Basement", _basement_finish),
    "bathrooms": ("Bathrooms and rooms", _bathrooms),
    "baths_per_bedroom": ("Bathrooms and rooms", lambda x, _: x["bathrooms"] / max(1.0, x["bedroom_abv_gr"])),
    "room_size": ("Living area", lambda x, _: x["gr_liv_area"] / max(1.0, x["tot_rms_abv_grd"])),
    "age": ("Age", lambda x, _: _years(x, x["year_built"])),
    "remodel_age": ("Age", lambda x, _: _years(x, max(x["year_remod_add"], x["year_built"]))),
    "garage_age": ("Garage", lambda x, _: _years(x, x["garage_yr_blt"])),
    "was_remodelled": ("Age", lambda x, _: float(x["year_remod_add"] > x["year_built"])),
    "porch_sf": ("Porches and extras", _porches),
    "quality_x_total_sf": ("Quality", lambda x, _: x["overall_qual"] * x["total_sf"]),
    "quality_x_living_area": ("Quality", lambda x, _: x["overall_qual"] * x["gr_liv_area"]),
    "quality_x_condition": ("Condition", lambda x, _: x["overall_qual"] * x["overall_cond"]),
    "quality_sum": ("Quality", _quality_sum),
    "months_since_2006": ("Sale", lambda x, _: 12 * (x["yr_sold"] - 2006) + x["mo_sold"]),
    "living_to_lot": ("Lot", lambda x, _: x["gr_liv_area"] / x["lot_area"]),
    "log_living_to_lot": ("Lot", lambda x, _: math.log(x["living_to_lot"])),
    "garage_score": ("Garage", lambda x, _: x["garage_area"] * x["garage_finish"]),
    "fireplace_score": ("Fireplaces", lambda x, _: x["fireplaces"] * x["fireplace_qu"]),
    "is_new": ("Sale", lambda _, house: float(house["sale_type"] == "New")),
    "is_partial": ("Sale", lambda _, house: float(house["sale_condition"] == "Partial")),
    "is_abnormal": ("Sale", lambda _, house: float(house["sale_condition"] == "Abnorml")),
    # Sold before completion and over 4,000 square feet: cheap for their size, so they get a level of their own.
    "large_and_partial": ("Sale", lambda x, _: float(x["is_partial"] and x["gr_liv_area"] > 4000)),
}


@dataclass(frozen=True)
class Design:
    """n houses as arrays.

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
        return np.asarray(self.numbers[:, number_names().index("large_and_partial")])


@cache
def number_names() -> tuple[str, ...]:
    """Names of the columns of `Design.numbers`."""
    return (*_quantities(), *_levels(), *DERIVED)


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
    positions = _positions()
    numbers = [list(_numbers(house).values()) for house in houses]
    codes = [[position[str(house[name])] for name, position in positions.items()] for house in houses]
    return Design(np.array(numbers, dtype=np.float64), np.array(codes, dtype=np.intp))


def _numbers(house: Complete) -> Numbers:
    """Return quantities, levels and derived features of one house, in the order of `number_names`."""
    x = {name: float(house[name]) for name in _quantities()}
    x |= {name: level[str(house[name])] for name, level in _levels().items()}
    for name, (_, formula) in DERIVED.items():
        x[name] = formula(x, house)
    return x


@cache
def _quantities() -> tuple[str, ...]:
    return tuple(name for name, column in columns().items() if column.is_numeric)


@cache
def _levels() -> dict[str, dict[str, float]]:
    """Ordinal column -> code -> level; "has none" is 0, and the worst of what there is, is 1."""
    return {
        name: {code: float(level) for level, code in enumerate(column.choices, start=NONE not in column.choices)}
        for name, column in columns().items()
        if column.kind == "ordinal"
    }


@cache
def _positions() -> dict[str, dict[str, int]]:
    return {name: {code: i for i, code in enumerate(columns()[name].choices)} for name in category_names()}
