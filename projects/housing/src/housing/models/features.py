"""From a complete record to the numbers both members of the model read: the same code in training and serving.

Nothing here is learned from data; what is learned lives in `linear.py` (knots, scales) and `encoding.py`
(neighbourhood statistics).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import NONE, columns
from housing.models.imputation import Complete

Floats = NDArray[np.float64]

DERIVED = {
    # name: the group of an explanation that its contribution counts for
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
    heading = DERIVED.get(feature) or columns()[feature].group
    return groups().index(heading)


def design(houses: Sequence[Complete]) -> Design:
    """Turn complete records into arrays, one row a house."""
    levels = _levels()
    quantities = _quantities()
    positions = _positions()
    numbers, codes = [], []
    for house in houses:
        basic = {name: float(house[name]) for name in quantities}
        for name, level in levels.items():
            basic[name] = level[str(house[name])]
        numbers.append([*basic.values(), *_derive(basic, house)])
        codes.append([position[str(house[name])] for name, position in positions.items()])
    return Design(np.array(numbers, dtype=np.float64), np.array(codes, dtype=np.intp))


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


def _derive(x: dict[str, float], house: Complete) -> tuple[float, ...]:
    """Return the derived features in the order of DERIVED."""
    living, basement, quality = x["gr_liv_area"], x["total_bsmt_sf"], x["overall_qual"]
    total = living + basement
    finished = x["bsmtfin_sf_1"] + x["bsmtfin_sf_2"]
    bathrooms = x["full_bath"] + x["bsmt_full_bath"] + 0.5 * (x["half_bath"] + x["bsmt_half_bath"])
    porches = x["open_porch_sf"] + x["enclosed_porch"] + x["three_ssn_porch"] + x["screen_porch"]
    partial = house["sale_condition"] == "Partial"
    return (
        total,
        living - x["low_qual_fin_sf"] + finished,
        finished,
        finished / max(1.0, basement),
        x["bsmtfin_sf_1"] * x["bsmtfin_type_1"] + x["bsmtfin_sf_2"] * x["bsmtfin_type_2"],
        bathrooms,
        bathrooms / max(1.0, x["bedroom_abv_gr"]),
        living / max(1.0, x["tot_rms_abv_grd"]),
        max(0.0, x["yr_sold"] - x["year_built"]),
        max(0.0, x["yr_sold"] - max(x["year_remod_add"], x["year_built"])),
        max(0.0, x["yr_sold"] - x["garage_yr_blt"]),
        float(x["year_remod_add"] > x["year_built"]),
        porches + x["wood_deck_sf"],
        quality * total,
        quality * living,
        quality * x["overall_cond"],
        x["exter_qual"] + x["kitchen_qual"] + x["bsmt_qual"] + x["heating_qc"] + quality,
        12 * (x["yr_sold"] - 2006) + x["mo_sold"],
        living / x["lot_area"],
        math.log(living / x["lot_area"]),
        x["garage_area"] * x["garage_finish"],
        x["fireplaces"] * x["fireplace_qu"],
        float(house["sale_type"] == "New"),
        float(partial),
        float(house["sale_condition"] == "Abnorml"),
        float(partial and living > 4000),
    )
