"""What a house cannot be: rules across columns, the same for training data, the API and files.

A rule holds wherever one of its columns is unknown. Bounds of single columns are in `columns.toml`; contradictions that
can be put right are in `repair.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import Record, Value
from housing.data.values import MANY, ONE, Arithmetic, Values, known, values_of

Limit = Callable[[Values, Arithmetic], Any]
"""(house or table, its arithmetic) -> the largest value that a column may take; infinite or NaN: any."""


@dataclass(frozen=True)
class Rule:
    """One rule: the column it blames, what must hold, and the limit."""

    field: str
    text: str
    limit: Limit


@dataclass(frozen=True)
class Violation:
    """One broken rule: column, its value, what must hold, and the largest value that holds."""

    field: str
    value: Value
    rule: str
    limit: float


def violations(record: Record) -> list[Violation]:
    """Return what makes this record impossible; empty if nothing does.

    Examples
    --------
    >>> violations({"year_built": 2010, "yr_sold": 2007})
    [Violation(field='year_built', value=2010, rule='at most a year after the sale', limit=2008.0)]
    """
    house = values_of(record)
    return [
        Violation(rule.field, record[rule.field], rule.text, limit)
        for rule in RULES
        if rule.field in record and house[rule.field] > (limit := rule.limit(house, ONE))
    ]


def broken_rules(table: Values) -> list[tuple[Rule, NDArray[np.bool_]]]:
    """Return the rules that rows of a table break, and which rows they are, shape (n,)."""
    rows = [(rule, table[rule.field] > rule.limit(table, MANY)) for rule in RULES]
    return [(rule, broken) for rule, broken in rows if broken.any()]


def _at_most(whole: str, *parts: str, slack: float = 0.0) -> Limit:
    """Return the limit: whole minus the known parts (unknown parts count as 0) plus the slack."""

    def limit(x: Values, of: Arithmetic) -> Any:
        return x[whole] - sum(_or_zero(x[part], of) for part in parts) + slack

    return limit


def _or_zero(value: Any, of: Arithmetic) -> Any:
    return of.where(known(value), value, 0.0)


def _rooms_for_baths(x: Values, of: Arithmetic) -> Any:
    """Bathrooms are not rooms, but a house has no more of them than rooms; without the rooms, bedrooms + 3."""
    rooms = x["tot_rms_abv_grd"]
    most = of.where(known(rooms), rooms, x["bedroom_abv_gr"] + 3)
    return most - _or_zero(x["half_bath"], of)


def _without_spaces(x: Values, of: Arithmetic) -> Any:
    return of.where(x["garage_cars"] == 0, 0.0, float("inf"))


FLOORS = "at most the living area less the other floors"
BASEMENT = "at most the basement less its other parts"
ROUNDING = 0.5  # square feet

RULES = (
    # New houses are sold before they are finished.
    Rule("year_built", "at most a year after the sale", _at_most("yr_sold", slack=1)),
    Rule("year_remod_add", "at most two years after the sale", _at_most("yr_sold", slack=2)),
    Rule("full_bath", "no more bathrooms than rooms", _rooms_for_baths),
    Rule("bedroom_abv_gr", "no more bedrooms than rooms", _at_most("tot_rms_abv_grd")),
    Rule("first_flr_sf", FLOORS, _at_most("gr_liv_area", "second_flr_sf", "low_qual_fin_sf", slack=ROUNDING)),
    Rule("second_flr_sf", FLOORS, _at_most("gr_liv_area", "first_flr_sf", "low_qual_fin_sf", slack=ROUNDING)),
    Rule("low_qual_fin_sf", FLOORS, _at_most("gr_liv_area", "first_flr_sf", "second_flr_sf", slack=ROUNDING)),
    Rule("bsmtfin_sf_1", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_2", "bsmt_unf_sf", slack=ROUNDING)),
    Rule("bsmtfin_sf_2", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_1", "bsmt_unf_sf", slack=ROUNDING)),
    Rule("bsmt_unf_sf", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_1", "bsmtfin_sf_2", slack=ROUNDING)),
    Rule("first_flr_sf", "at most the lot area", _at_most("lot_area")),
    Rule("garage_area", "0 without garage spaces", _without_spaces),
)
