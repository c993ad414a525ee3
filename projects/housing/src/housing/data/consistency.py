"""What a house cannot be: rules across columns, the same for training data, the API and CSV files.

A rule holds wherever one of its columns is unknown. Bounds of single columns are in `columns.toml`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from housing.data.columns import NONE, Record, Value


@dataclass(frozen=True)
class Rule:
    """One rule: the column it blames, what must hold, and the limit for a given record."""

    field: str
    text: str
    limit: Callable[[Record], float | None]  # the largest value that `field` may take; None: the rule does not apply


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
    broken = []
    for rule in RULES:
        limit, value = rule.limit(record), _quantity(record, rule.field)
        if limit is not None and value is not None and value > limit:
            broken.append(Violation(rule.field, record[rule.field], rule.text, limit))
    return broken


def _quantity(record: Record, name: str) -> float | None:
    value = record.get(name)
    return None if value is None or isinstance(value, str) else float(value)


def _at_most(whole: str, *parts: str, slack: float = 0.0) -> Callable[[Record], float | None]:
    """Return record -> whole minus the known parts (unknown parts count as 0) plus the slack."""

    def limit(record: Record) -> float | None:
        total = _quantity(record, whole)
        return None if total is None else total - sum(_quantity(record, part) or 0.0 for part in parts) + slack

    return limit


def _rooms_for_baths(record: Record) -> float | None:
    """Bathrooms are not rooms, but a house has no more of them than rooms; without the rooms, bedrooms + 3."""
    rooms, bedrooms = _quantity(record, "tot_rms_abv_grd"), _quantity(record, "bedroom_abv_gr")
    most = rooms if rooms is not None else None if bedrooms is None else bedrooms + 3
    return None if most is None else most - (_quantity(record, "half_bath") or 0.0)


def _nothing_without(having: str, absent: Value) -> Callable[[Record], float | None]:
    return lambda record: 0.0 if record.get(having) == absent else None


FLOORS = "at most the living area less the other floors"
BASEMENT = "at most the basement less its other parts"
ROUNDING = 0.5  # square feet

RULES = (
    # New houses are sold before they are finished.
    Rule("year_built", "at most a year after the sale", _at_most("yr_sold", slack=1)),
    Rule("year_remod_add", "at most two years after the sale", _at_most("yr_sold", slack=2)),
    Rule("garage_yr_blt", "at most a year after the sale", _at_most("yr_sold", slack=1)),
    Rule("year_built", "at most the year remodelled", _at_most("year_remod_add")),
    Rule("full_bath", "no more bathrooms than rooms", _rooms_for_baths),
    Rule("bedroom_abv_gr", "no more bedrooms than rooms", _at_most("tot_rms_abv_grd")),
    Rule("first_flr_sf", FLOORS, _at_most("gr_liv_area", "second_flr_sf", "low_qual_fin_sf", slack=ROUNDING)),
    Rule("second_flr_sf", FLOORS, _at_most("gr_liv_area", "first_flr_sf", "low_qual_fin_sf", slack=ROUNDING)),
    Rule("low_qual_fin_sf", FLOORS, _at_most("gr_liv_area", "first_flr_sf", "second_flr_sf", slack=ROUNDING)),
    Rule("bsmtfin_sf_1", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_2", "bsmt_unf_sf", slack=ROUNDING)),
    Rule("bsmtfin_sf_2", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_1", "bsmt_unf_sf", slack=ROUNDING)),
    Rule("bsmt_unf_sf", BASEMENT, _at_most("total_bsmt_sf", "bsmtfin_sf_1", "bsmtfin_sf_2", slack=ROUNDING)),
    Rule("first_flr_sf", "at most the lot area", _at_most("lot_area")),
    Rule("garage_area", "0 without garage spaces", _nothing_without("garage_cars", 0)),
    Rule("garage_cars", "0 with the garage type None", _nothing_without("garage_type", NONE)),
    Rule("mas_vnr_area", "0 with the veneer None", _nothing_without("mas_vnr_type", NONE)),
    Rule("pool_area", "0 with the pool quality None", _nothing_without("pool_qc", NONE)),
    Rule("fireplaces", "0 with the fireplace quality None", _nothing_without("fireplace_qu", NONE)),
)
