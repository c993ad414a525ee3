"""Fill what a record leaves open, by stated rules, and say what was filled and why.

A person knows about ten things of a house; the model wants 79. The same code fills the few unknown
cells of the training data, so a value is never filled one way in training and another way in serving.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import NONE, Record, columns
from housing.data.values import (
    MANY,
    ONE,
    Arithmetic,
    Change,
    Values,
    code,
    code_values,
    known,
    unknown,
    value_of,
    values_of,
)

Complete = dict[str, float | str]
"""A record with a value in every column."""


@dataclass(slots=True)  # not frozen: a response makes dozens of these, and freezing triples their cost
class Filled:
    """One value that the caller did not give: which column, what was taken, and by which rule."""

    field: str
    value: float | str
    rule: str


@dataclass(frozen=True)
class Typical:
    """What is typical among the training houses: learned from training rows only.

    Attributes
    ----------
    by_quality
        Column -> one value for each overall quality 1 to 10: the median of numbers, the most common code.
    frontage_ratio
        Median of street frontage / sqrt(lot area).
    area_per_car
        Median garage area per car, square feet.
    finished_share
        Median share of the basement that is finished, over houses with a basement.
    rooms_beside_bedrooms
        Median number of rooms that are not bedrooms.
    last_year
        The latest year of sale.
    """

    by_quality: Mapping[str, Sequence[float | str]]
    frontage_ratio: float
    area_per_car: float
    finished_share: float
    rooms_beside_bedrooms: float
    last_year: float

    @cached_property
    def numbers(self) -> Mapping[str, Sequence[float]]:
        """`by_quality` as numbers."""
        return {
            name: [code_values()[name][value] if isinstance(value, str) else float(value) for value in values]
            for name, values in self.by_quality.items()
        }


def fit_typical(records: Sequence[Record]) -> Typical:
    """Learn typical values from training records.

    Raises
    ------
    ValueError
        If a column is unknown in every record: then nothing is typical.
    """
    of_grade: dict[float, list[Record]] = {}
    for record in records:
        of_grade.setdefault(_number(record, "overall_qual"), []).append(record)

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array([record[name] for record in records], dtype=np.float64)  # None is NaN

    rooms = numbers("tot_rms_abv_grd") - numbers("bedroom_abv_gr")
    return Typical(
        by_quality={name: _by_quality(name, of_grade) for name in columns()},
        frontage_ratio=_median_ratio(numbers("lot_frontage"), np.sqrt(numbers("lot_area"))),
        area_per_car=_median_ratio(numbers("garage_area"), numbers("garage_cars")),
        finished_share=_median_ratio(numbers("bsmtfin_sf_1"), numbers("total_bsmt_sf")),
        rooms_beside_bedrooms=_median_ratio(rooms, np.ones(len(rooms))),
        last_year=max(_number(record, "yr_sold") for record in records),
    )


def complete(record: Record, typical: Typical) -> tuple[Complete, list[Filled]]:
    """Return the record with every column filled, and what was filled."""
    filled = fill_one(values_of(record), typical)
    given = {name: value for name, value in record.items() if value is not None}
    return given | {entry.field: entry.value for entry in filled}, filled


def fill_one(house: Values, typical: Typical) -> list[Filled]:
    """Fill the unknown columns of one house in place; return what was filled."""
    if not any(map(unknown, house.values())):
        return []
    filled = []
    for name, value, rule, holds in _fillings(house, typical, ONE):
        if holds and unknown(house[name]):
            house[name] = value
            filled.append(Filled(name, cast("float | str", value_of(name, value)), rule))
    grade = _grade(house, ONE)
    rule = f"typical of houses of overall quality {grade + 1}"
    gaps = [name for name, number in house.items() if number != number]  # noqa: PLR0124 - asked of every column
    house |= {name: typical.numbers[name][grade] for name in gaps}
    return filled + [Filled(name, typical.by_quality[name][grade], rule) for name in gaps]


def fill_many(table: Values, typical: Typical) -> NDArray[np.intp]:
    """Fill the unknown columns of a table in place; return how many were filled in each row, shape (n,)."""
    count = np.zeros(len(table["lot_area"]), dtype=np.intp)
    for name, value, _, holds in _fillings(table, typical, MANY):
        gaps = unknown(table[name]) & holds
        if gaps.any():
            table[name] = np.where(gaps, value, table[name])
            count += gaps
    grade = _grade(table, MANY)
    for name, numbers in table.items():
        if (gaps := unknown(numbers)).any():
            table[name] = np.where(gaps, MANY.pick(typical.numbers[name], grade), numbers)
            count += gaps
    return count


def _grade(x: Values, of: Arithmetic) -> Any:
    """Return the position of the overall quality among 1 to 10."""
    quality = of.rounded(of.where(known(x["overall_qual"]), x["overall_qual"], 5.0))
    return of.index(of.smaller(10.0, of.larger(1.0, quality)) - 1)


def _fillings(x: Values, typical: Typical, of: Arithmetic) -> Iterator[Change]:
    """Yield what fills a column where it is unknown, but for what nothing says; `x` is filled while this runs.

    The rules run in a fixed order, because later ones read what earlier ones filled: no basement or
    garage first, then floors, then what follows from other columns, then what is typical.
    """
    grade = _grade(x, of)

    def usual(name: str) -> Any:
        return of.pick(typical.numbers[name], grade)

    yield "garage_cars", 0.0, "no garage", x["garage_type"] == code("garage_type", NONE)
    yield "total_bsmt_sf", 0.0, "no basement", x["bsmt_qual"] == code("bsmt_qual", NONE)
    for name in ("overall_qual", "gr_liv_area", "lot_area", "total_bsmt_sf", "garage_cars", "year_built"):
        yield name, usual(name), "typical of the training houses", True
    yield "year_remod_add", x["year_built"], "taken as never remodelled: the year built", True
    yield "yr_sold", typical.last_year, "the latest year of sale in the training data", True
    yield "mo_sold", 6.0, "taken as June", True
    yield "sale_type", code("sale_type", "WD"), "taken as a conventional sale", True
    yield "sale_condition", code("sale_condition", "Normal"), "taken as a normal sale", True
    yield from _garage(x, typical, of, usual)
    yield from _basement(x, typical, of)
    yield from _floors(x, of)
    yield from _rooms(x, typical, of, usual)
    frontage = of.rounded(typical.frontage_ratio * np.sqrt(x["lot_area"]))
    yield "lot_frontage", frontage, "typical of a lot of this area", True
    yield "exterior_2nd", x["exterior_1st"], "the same as the first cladding", known(x["exterior_1st"])
    kind, area = x["mas_vnr_type"], x["mas_vnr_area"]
    bare = (unknown(kind) | (kind == code("mas_vnr_type", NONE))) & (unknown(area) | (area == 0))
    yield "mas_vnr_type", code("mas_vnr_type", NONE), "taken as no veneer", bare
    yield "mas_vnr_area", 0.0, "no veneer", bare
    typically = f"typical of houses of overall quality {grade + 1}" if of is ONE else ""
    yield "fireplaces", 0.0, "no fireplace", x["fireplace_qu"] == code("fireplace_qu", NONE)
    yield "fireplaces", usual("fireplaces"), typically, True
    yield "fireplace_qu", code("fireplace_qu", NONE), "no fireplace", x["fireplaces"] == 0
    yield "fireplace_qu", code("fireplace_qu", "TA"), "taken as typical", True
    yield (
        "mas_vnr_type",
        code("mas_vnr_type", "BrkFace"),
        "a veneer has an area: taken as brick, the most common one",
        True,
    )
    yield "pool_qc", code("pool_qc", NONE), "no pool", unknown(x["pool_area"]) | (x["pool_area"] == 0)
    yield "pool_qc", code("pool_qc", "TA"), "taken as typical", True


def _garage(x: Values, typical: Typical, of: Arithmetic, usual: Callable[[str], Any]) -> Iterator[Change]:
    none = x["garage_cars"] == 0
    for name in ("garage_type", "garage_finish", "garage_qual", "garage_cond"):
        yield name, code(name, NONE), "no garage", none
    yield "garage_area", 0.0, "no garage", none
    kind, absent = usual("garage_type"), code("garage_type", NONE)
    kind = of.where(kind == absent, code("garage_type", "Detchd"), kind)
    yield "garage_type", kind, "the usual type in houses of this quality", True
    area = of.rounded(x["garage_cars"] * typical.area_per_car)
    yield "garage_area", area, f"{typical.area_per_car:.0f} sq ft a car", True
    yield "garage_yr_blt", x["year_built"], "the year the house was built", True


def _basement(x: Values, typical: Typical, of: Arithmetic) -> Iterator[Change]:
    area = x["total_bsmt_sf"]
    for name in ("bsmt_qual", "bsmt_cond", "bsmt_exposure", "bsmtfin_type_1", "bsmtfin_type_2"):
        yield name, code(name, NONE), "no basement", area == 0
    for name in ("bsmtfin_sf_1", "bsmtfin_sf_2", "bsmt_unf_sf", "bsmt_full_bath", "bsmt_half_bath"):
        yield name, 0.0, "no basement", area == 0
    yield "bsmtfin_sf_2", 0.0, "taken as one kind of finish", True
    rest, unfinished = area - x["bsmtfin_sf_2"], x["bsmt_unf_sf"]
    yield "bsmtfin_sf_1", of.larger(0.0, rest - unfinished), "the basement less its other parts", known(unfinished)
    share = of.smaller(of.rounded(area * typical.finished_share), rest)
    yield "bsmtfin_sf_1", of.larger(0.0, share), "a typical share of the basement", True
    unfinished = of.larger(0.0, rest - x["bsmtfin_sf_1"])
    yield "bsmt_unf_sf", unfinished, "the basement less its finished parts", True


def _floors(x: Values, of: Arithmetic) -> Iterator[Change]:
    """Split the living area into floors: the first floor is about as large as the basement under it."""
    yield "low_qual_fin_sf", 0.0, "taken as none", True
    floors, first, second = x["gr_liv_area"] - x["low_qual_fin_sf"], x["first_flr_sf"], x["second_flr_sf"]
    yield "second_flr_sf", of.larger(0.0, floors - first), "the living area less the first floor", known(first)
    rest = of.larger(0.0, of.smaller(floors - second, x["lot_area"]))
    yield "first_flr_sf", rest, "the living area less the second floor", known(second)
    living, basement, style = x["gr_liv_area"], x["total_bsmt_sf"], x["house_style"]
    flat = unknown(style) | (style == code("house_style", "1Story"))
    one_storey = flat & ((basement == 0) | (basement > 0.85 * living))
    first = of.where(one_storey, floors, of.smaller(floors, of.larger(basement, 0.5 * living)))
    first = of.larger(0.0, of.smaller(first, x["lot_area"]))
    yield "first_flr_sf", first, "about the basement's area, at most the living area", True
    yield "second_flr_sf", of.larger(0.0, floors - first), "the living area less the first floor", True
    upper, old = x["second_flr_sf"] > 0, x["year_built"] < 1946
    rule = "from the floors' areas and the year built"
    for name, codes in (("house_style", ("1.5Fin", "2Story", "1Story", "1Story")), ("ms_subclass", _SUBCLASSES)):
        old_upper, new_upper, old_flat, new_flat = (code(name, each) for each in codes)
        value = of.where(upper, of.where(old, old_upper, new_upper), of.where(old, old_flat, new_flat))
        yield name, value, rule, True


_SUBCLASSES = ("050", "060", "030", "020")


def _rooms(x: Values, typical: Typical, of: Arithmetic, usual: Callable[[str], Any]) -> Iterator[Change]:
    bedrooms = of.where(known(x["bedroom_abv_gr"]), x["bedroom_abv_gr"], 3.0)
    more = typical.rooms_beside_bedrooms
    yield "tot_rms_abv_grd", bedrooms + more, f"the bedrooms and {more:.0f} more rooms", True
    spare = x["tot_rms_abv_grd"] - of.where(known(x["full_bath"]), x["full_bath"], 0.0)
    yield "half_bath", of.larger(0.0, spare), "no more bathrooms than rooms", spare < usual("half_bath")


def _by_quality(name: str, of_grade: Mapping[float, Sequence[Record]]) -> list[float | str]:
    """Return one typical value for each quality 1 to 10, over houses at most one grade away."""
    values_of = {
        grade: [value for record in records if (value := record[name]) is not None]
        for grade, records in of_grade.items()
    }
    everything = [value for values in values_of.values() for value in values]
    if not everything:
        n_records = sum(map(len, of_grade.values()))
        raise ValueError(f"column {name} is unknown in all {n_records} training records: nothing is typical")
    near = [[value for q in (grade - 1, grade, grade + 1) for value in values_of.get(q, [])] for grade in range(1, 11)]
    return [_typical_value(name, values if len(values) >= 20 else everything) for values in near]


def _typical_value(name: str, values: Sequence[float | str]) -> float | str:
    if columns()[name].is_numeric:
        return float(round(median(map(float, values))))
    counts = Counter(map(str, values))
    return min(counts, key=lambda code: (-counts[code], code))


def _number(record: Record, name: str) -> float:
    value = record[name]
    if not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number in every training record, got {value!r}")  # noqa: TRY004
    return float(value)


def _median_ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    """Return the median over houses where both are known and there is a whole; 0 without such houses."""
    usable = (whole > 0) & ~np.isnan(part)
    return float(np.median(part[usable] / whole[usable])) if usable.any() else 0.0
