"""What contradicts itself and can be put right: the same repairs in training, in files and in the API, each reported.

What a house cannot be and no rule puts right is refused (`consistency.py`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from housing.data.cells import respelled
from housing.data.columns import Value, columns
from housing.data.values import ONE, Arithmetic, Change, Values, change_one, code_values, known, unknown, value_of

BASEMENT = ("bsmt_qual", "bsmt_cond", "bsmt_exposure", "bsmtfin_type_1", "bsmtfin_type_2")
BASEMENT_AREAS = ("bsmtfin_sf_1", "bsmtfin_sf_2", "bsmt_unf_sf", "total_bsmt_sf")
BATHROOMS = ("bsmt_full_bath", "bsmt_half_bath")
GARAGE = ("garage_finish", "garage_qual", "garage_cond")

SPELLED = "a code spelled in a second way"
QUANTITIES = {
    "mas_vnr_type": ("mas_vnr_area", "veneer of type None with an area: type unknown"),
    "pool_qc": ("pool_area", "pool of quality None with an area: quality unknown"),
    "fireplace_qu": ("fireplaces", "fireplaces of quality None: quality unknown"),
    **dict.fromkeys(
        ("garage_type", *GARAGE),
        ("garage_cars", "garage with spaces or a type and a code of None: code unknown"),
    ),
    **dict.fromkeys(BASEMENT, ("total_bsmt_sf", "basement with an area and a code of None: code unknown")),
}
"""Column of codes -> how much there is of it, and what is done where the code says none and the quantity says some."""


@dataclass(slots=True)
class Repaired:
    """One value that was not taken as it was given: the field, both values (None: unknown), and why."""

    field: str
    given: Value
    value: Value
    rule: str


_WORDS = {*BASEMENT, *BASEMENT_AREAS}


def repairs(x: Values, of: Arithmetic, given: Collection[str]) -> Iterator[Change]:
    """Yield what is put right in a house or a table of which these columns are given, unknown or not.

    The number of the code "has none" is 0 in every column that has it.
    """
    silent = unknown(x["total_bsmt_sf"])
    if silent is not False and _WORDS.issubset(given):
        for name in _WORDS:
            silent = silent & (unknown(x[name]) | (x[name] == 0 if name in BASEMENT else False))
        for name in (*BASEMENT, *BASEMENT_AREAS, *BATHROOMS):
            yield name, 0.0, "no word of a basement: there is none", silent & unknown(x[name])

    sold = of.where(known(x["yr_sold"]), x["yr_sold"], columns()["yr_sold"].maximum)
    rule = "garage built after the sale (2207): year unknown"
    yield "garage_yr_blt", float("nan"), rule, x["garage_yr_blt"] > sold + 1

    for name, (quantity, rule) in QUANTITIES.items():
        some = (x[quantity] > 0) | (x["garage_type"] > 0) if name in GARAGE else x[quantity] > 0
        yield name, float("nan"), rule, (x[name] == 0) & some

    early = x["year_remod_add"] < x["year_built"]
    yield "year_remod_add", x["year_built"], "remodeled before it was built: remodeled when built", early


def repair(fields: dict[str, Any]) -> list[Repaired]:
    """Put one house right in place, whatever its fields hold; return what was changed."""
    repaired = []
    codes = code_values()
    texts = [name for name, given in fields.items() if isinstance(given, str) and name in codes]
    spelled = [name for name in texts if fields[name] not in codes[name]]
    for name in sorted(spelled, key=list(codes).index) if spelled else ():
        if code := respelled(name, given := fields[name]):
            fields[name] = code
            repaired.append(Repaired(name, given, code, SPELLED))
    if not _REPAIRABLE.isdisjoint(fields):
        house = {name: _number(name, fields.get(name)) for name in _READ}
        for name, number, rule in change_one(house, repairs(house, ONE, fields.keys())):
            given, value = fields.get(name), value_of(name, number)
            given = given if given is None or isinstance(given, str) else float(given)
            repaired.append(Repaired(name, given, value, rule))
            fields[name] = value
    return repaired


_REPAIRABLE = {*QUANTITIES, "garage_yr_blt", "year_remod_add"}
_READ = {
    *(*_REPAIRABLE, "yr_sold", "year_built", *BASEMENT_AREAS, *BATHROOMS),
    *(quantity for quantity, _ in QUANTITIES.values()),
}


def _number(name: str, value: object) -> float:
    """Return a field's number, NaN if it has none: what is wrong with it, the check of the fields will say."""
    if isinstance(value, str) and name in code_values():
        return code_values()[name].get(value, float("nan"))
    try:
        return float(value) if isinstance(value, str | int | float) else float("nan")
    except (ValueError, OverflowError):
        return float("nan")
