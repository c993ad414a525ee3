"""What fills a column that a record leaves open, as one list of rules: for one house and for tables of them.

What no rule fills is typical of the house's overall quality (`imputation.py`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from housing.data.columns import NONE
from housing.data.values import Arithmetic, Values, code, known, unknown, value_of

if TYPE_CHECKING:
    from housing.models.imputation import Typical


@dataclass(slots=True)  # not frozen: a response makes dozens of these, and freezing triples their cost
class Filled:
    """One value that the caller did not give: which column, what was taken, and by which rule."""

    field: str
    value: float | str
    rule: str

    def json(self) -> str:
        """Return the entry as a JSON object; no code has a character that JSON escapes."""
        value = f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f'{{"field":"{self.field}","value":{value},"rule":{json.dumps(self.rule)}}}'


MOST_SAID = 1000  # numbers of a rule, of which what is said is kept

Value = Callable[[Values, Arithmetic, Any], Any]
"""(house or table, its arithmetic, its grade from 0) -> what a column gets, or where that holds."""

Parts = tuple[str, Any, str] | tuple[str, Any, str, Value]
"""Column, number or `Value`, why, and where that holds."""


class Fills(list[Filled]):
    """What was filled in one house, and the same as parts of a JSON list."""

    __slots__ = ("texts",)

    def __init__(self, entries: Iterable[Filled] = (), texts: Sequence[str] = ()) -> None:
        super().__init__(entries)
        self.texts = texts

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: Callable[[Any], Any]) -> Any:
        """Describe it as a list."""
        return handler(list[Filled])

    def json(self) -> str:
        """Return the entries as a JSON list."""
        return f"[{','.join(self.texts)}]"


class Filling(NamedTuple):
    """One rule: the column, what it gets, why (or "": that is typical), where that holds (or None: everywhere).

    Many houses get the same number, such as a year or none: in `said` is what is said of it, and that as JSON.
    """

    name: str
    value: Any
    rule: str
    holds: Value | None
    is_constant: bool
    said: dict[float, tuple[Filled, str]]

    def say(self, number: float, grade: int) -> tuple[Filled, str]:
        """Return what is said where a house of this grade gets this number."""
        entry = Filled(self.name, cast("float | str", value_of(self.name, number)), self.rule or typical_of(grade))
        found = entry, entry.json()
        if self.rule and len(self.said) < MOST_SAID:
            self.said[number] = found
        return found


def filling_of(name: str, value: float | Value, rule: str, holds: Value | None = None) -> Filling:
    """Return a rule as it is applied."""
    return Filling(name, value, rule, holds, not callable(value), {})


def typical_of(grade: int) -> str:
    """Return the rule of what is typical."""
    return f"typical of houses of overall quality {grade + 1}"


def fillings(typical: "Typical") -> Iterator[Parts]:
    """Yield the rules in their order: later ones read what earlier ones filled.

    No basement or garage first, then floors, then what follows from other columns, then what is typical.
    """

    def usual(name: str) -> Value:
        return lambda _, of, grade: of.pick(typical.numbers[name], grade)

    yield "garage_cars", 0.0, "no garage", _is("garage_type", NONE)
    yield "total_bsmt_sf", 0.0, "no basement", _is("bsmt_qual", NONE)
    for name in ("overall_qual", "gr_liv_area", "lot_area", "total_bsmt_sf", "garage_cars", "year_built"):
        yield name, usual(name), "typical of the training houses"
    yield "year_remod_add", _same("year_built"), "taken as never remodeled: the year built"
    yield "yr_sold", typical.last_year, "the latest year of sale in the training data"
    yield "mo_sold", 6.0, "taken as June"
    yield "sale_type", code("sale_type", "WD"), "taken as a conventional sale"
    yield "sale_condition", code("sale_condition", "Normal"), "taken as a normal sale"
    yield from _garage(typical)
    yield from _basement(typical)
    yield from _floors()
    yield from _rooms(typical)
    ratio = typical.frontage_ratio
    yield "lot_frontage", lambda x, of, _: of.rounded(ratio * x["lot_area"] ** 0.5), "typical of a lot of this area"
    cladding = "the same as the first cladding"
    yield "exterior_2nd", _same("exterior_1st"), cladding, lambda x, *_: known(x["exterior_1st"])
    yield "mas_vnr_type", code("mas_vnr_type", NONE), "taken as no veneer", _no_veneer
    yield "mas_vnr_area", 0.0, "no veneer", _no_veneer
    yield "fireplaces", 0.0, "no fireplace", _is("fireplace_qu", NONE)
    yield "fireplaces", usual("fireplaces"), ""
    yield "fireplace_qu", code("fireplace_qu", NONE), "no fireplace", lambda x, *_: x["fireplaces"] == 0
    yield "fireplace_qu", code("fireplace_qu", "TA"), "taken as typical"
    brick = "a veneer has an area: taken as brick, the most common one"
    yield "mas_vnr_type", code("mas_vnr_type", "BrkFace"), brick
    no_pool = lambda x, *_: unknown(x["pool_area"]) | (x["pool_area"] == 0)  # noqa: E731
    yield "pool_qc", code("pool_qc", NONE), "no pool", no_pool
    yield "pool_qc", code("pool_qc", "TA"), "taken as typical"


def _is(name: str, choice: str) -> Value:
    number = code(name, choice)
    return lambda x, *_: x[name] == number


def _same(name: str) -> Value:
    return lambda x, *_: x[name]


def _no_veneer(x: Values, *_: Any) -> Any:
    kind, area = x["mas_vnr_type"], x["mas_vnr_area"]
    return (unknown(kind) | (kind == code("mas_vnr_type", NONE))) & (unknown(area) | (area == 0))


def _garage(typical: "Typical") -> Iterator[Parts]:
    def no_garage(x: Values, *_: Any) -> Any:
        return x["garage_cars"] == 0

    def usual_kind(_: Values, of: Arithmetic, grade: Any) -> Any:
        kind = of.pick(typical.numbers["garage_type"], grade)
        return of.where(kind == code("garage_type", NONE), code("garage_type", "Detchd"), kind)

    for name in ("garage_type", "garage_finish", "garage_qual", "garage_cond"):
        yield name, code(name, NONE), "no garage", no_garage
    yield "garage_area", 0.0, "no garage", no_garage
    yield "garage_type", usual_kind, "the usual type in houses of this quality"
    per_car = typical.area_per_car
    yield "garage_area", lambda x, of, _: of.rounded(x["garage_cars"] * per_car), f"{per_car:.0f} sq ft a car"
    yield "garage_yr_blt", _same("year_built"), "the year the house was built"


def _basement(typical: "Typical") -> Iterator[Parts]:
    def no_basement(x: Values, *_: Any) -> Any:
        return x["total_bsmt_sf"] == 0

    def less(x: Values, of: Arithmetic, part: str) -> Any:
        return of.larger(0.0, x["total_bsmt_sf"] - x["bsmtfin_sf_2"] - x[part])

    def share(x: Values, of: Arithmetic, _: Any) -> Any:
        area = x["total_bsmt_sf"]
        return of.larger(0.0, of.smaller(of.rounded(area * typical.finished_share), area - x["bsmtfin_sf_2"]))

    for name in ("bsmt_qual", "bsmt_cond", "bsmt_exposure", "bsmtfin_type_1", "bsmtfin_type_2"):
        yield name, code(name, NONE), "no basement", no_basement
    for name in ("bsmtfin_sf_1", "bsmtfin_sf_2", "bsmt_unf_sf", "bsmt_full_bath", "bsmt_half_bath"):
        yield name, 0.0, "no basement", no_basement
    yield "bsmtfin_sf_2", 0.0, "taken as one kind of finish"
    rest = "the basement less its other parts"
    yield "bsmtfin_sf_1", lambda x, of, _: less(x, of, "bsmt_unf_sf"), rest, lambda x, *_: known(x["bsmt_unf_sf"])
    yield "bsmtfin_sf_1", share, "a typical share of the basement"
    yield "bsmt_unf_sf", lambda x, of, _: less(x, of, "bsmtfin_sf_1"), "the basement less its finished parts"


def _floors() -> Iterator[Parts]:
    """Split the living area into floors: the first floor is about as large as the basement under it."""

    def upper(x: Values, of: Arithmetic, _: Any) -> Any:
        return of.larger(0.0, x["gr_liv_area"] - x["low_qual_fin_sf"] - x["first_flr_sf"])

    def lower(x: Values, of: Arithmetic, floors: Any) -> Any:
        return of.larger(0.0, of.smaller(floors, x["lot_area"]))

    def rest(x: Values, of: Arithmetic, _: Any) -> Any:
        return lower(x, of, x["gr_liv_area"] - x["low_qual_fin_sf"] - x["second_flr_sf"])

    def first(x: Values, of: Arithmetic, _: Any) -> Any:
        living, basement, style = x["gr_liv_area"], x["total_bsmt_sf"], x["house_style"]
        floors = living - x["low_qual_fin_sf"]
        flat = unknown(style) | (style == code("house_style", "1Story"))
        one_story = flat & ((basement == 0) | (basement > 0.85 * living))
        return lower(x, of, of.where(one_story, floors, of.smaller(floors, of.larger(basement, 0.5 * living))))

    yield "low_qual_fin_sf", 0.0, "taken as none"
    known_first, known_second = (lambda x, *_: known(x["first_flr_sf"])), (lambda x, *_: known(x["second_flr_sf"]))
    yield "second_flr_sf", upper, "the living area less the first floor", known_first
    yield "first_flr_sf", rest, "the living area less the second floor", known_second
    yield "first_flr_sf", first, "about the basement's area, at most the living area"
    yield "second_flr_sf", upper, "the living area less the first floor"
    rule = "from the floors' areas and the year built"
    yield "house_style", _style("house_style", "1.5Fin", "2Story", "1Story", "1Story"), rule
    yield "ms_subclass", _style("ms_subclass", "050", "060", "030", "020"), rule


def _style(name: str, *codes: str) -> Value:
    """Return which of four codes a house has: old with an upper floor, new with one, old without, new without."""
    old_upper, new_upper, old_flat, new_flat = (code(name, each) for each in codes)

    def style(x: Values, of: Arithmetic, _: Any) -> Any:
        upper, old = x["second_flr_sf"] > 0, x["year_built"] < 1946
        return of.where(upper, of.where(old, old_upper, new_upper), of.where(old, old_flat, new_flat))

    return style


def _rooms(typical: "Typical") -> Iterator[Parts]:
    more = typical.rooms_beside_bedrooms

    def rooms(x: Values, of: Arithmetic, _: Any) -> Any:
        return of.where(known(x["bedroom_abv_gr"]), x["bedroom_abv_gr"], 3.0) + more

    def spare(x: Values, of: Arithmetic) -> Any:
        return x["tot_rms_abv_grd"] - of.where(known(x["full_bath"]), x["full_bath"], 0.0)

    def few(x: Values, of: Arithmetic, grade: Any) -> Any:
        return spare(x, of) < of.pick(typical.numbers["half_bath"], grade)

    yield "tot_rms_abv_grd", rooms, f"the bedrooms and {more:.0f} more rooms"
    yield "half_bath", lambda x, of, _: of.larger(0.0, spare(x, of)), "no more bathrooms than rooms", few
