"""Fill what a record leaves open, by stated rules, and say what was filled and why.

A person knows about ten things of a house; the model wants 79. The same code fills the few unknown
cells of the training data, so a value is never filled one way in training and another way in serving.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import NONE, Record, columns

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
    """Return the record with every column filled, and what was filled.

    The rules run in a fixed order, because later ones read what earlier ones filled: no basement or
    garage first, then floors, then what follows from other columns, then what is typical.
    """
    full: Complete = {name: value for name, value in record.items() if value is not None}
    filled: list[Filled] = []
    open_columns = [name for name in columns() if name not in full]

    def fill(name: str, value: float | str, rule: str) -> None:
        value = value if isinstance(value, str) else float(value)
        full[name] = value
        filled.append(Filled(name, value, rule))

    if open_columns:
        quality = _grade(full)
        for name in ("overall_qual", "gr_liv_area", "lot_area", "total_bsmt_sf", "garage_cars", "year_built"):
            if name not in full:
                fill(name, typical.by_quality[name][quality - 1], "typical of the training houses")
        for name, value, rule in _consequences(full, typical):
            if name not in full:
                fill(name, value, rule)
        rule = f"typical of houses of overall quality {quality}"
        for name in open_columns:
            if name not in full:
                fill(name, typical.by_quality[name][quality - 1], rule)
    return full, filled


def _grade(full: Complete) -> int:
    return min(10, max(1, round(float(full.get("overall_qual", 5)))))


Filling = tuple[str, float | str, str]
"""Column, value and rule."""


def _consequences(full: Complete, typical: Typical) -> Iterable[Filling]:
    """Yield (column, value, rule) for what follows from other columns; `full` grows while this runs."""
    yield "year_remod_add", full["year_built"], "taken as never remodelled: the year built"
    yield "yr_sold", typical.last_year, "the latest year of sale in the training data"
    yield "mo_sold", 6.0, "taken as June"
    yield "sale_type", "WD", "taken as a conventional sale"
    yield "sale_condition", "Normal", "taken as a normal sale"
    yield from _garage(full, typical)
    yield from _basement(full, typical)
    yield from _floors(full)
    rooms = float(full.get("bedroom_abv_gr", 3.0)) + typical.rooms_beside_bedrooms
    yield "tot_rms_abv_grd", rooms, f"the bedrooms and {typical.rooms_beside_bedrooms:.0f} more rooms"
    spare = float(full["tot_rms_abv_grd"]) - float(full.get("full_bath", 0.0))
    if spare < float(typical.by_quality["half_bath"][_grade(full) - 1]):
        yield "half_bath", max(0.0, spare), "no more bathrooms than rooms"
    frontage = round(typical.frontage_ratio * math.sqrt(float(full["lot_area"])))
    yield "lot_frontage", float(frontage), "typical of a lot of this area"
    if "exterior_1st" in full:
        yield "exterior_2nd", full["exterior_1st"], "the same as the first cladding"
    if full.get("mas_vnr_type", NONE) == NONE and full.get("mas_vnr_area", 0.0) == 0.0:
        yield "mas_vnr_type", NONE, "taken as no veneer"
        yield "mas_vnr_area", 0.0, "no veneer"
    yield from _fireplaces(full, typical)
    yield "mas_vnr_type", "BrkFace", "a veneer has an area: taken as brick, the most common one"
    if full.get("pool_area", 0.0) == 0.0:
        yield "pool_qc", NONE, "no pool"
    yield "pool_qc", "TA", "taken as typical"


def _fireplaces(full: Complete, typical: Typical) -> Iterable[Filling]:
    if full.get("fireplace_qu") == NONE:
        yield "fireplaces", 0.0, "no fireplace"
    quality = _grade(full)
    yield "fireplaces", typical.by_quality["fireplaces"][quality - 1], f"typical of houses of overall quality {quality}"
    if full["fireplaces"] == 0:
        yield "fireplace_qu", NONE, "no fireplace"
    yield "fireplace_qu", "TA", "taken as typical"


def _garage(full: Complete, typical: Typical) -> Iterable[Filling]:
    cars = float(full["garage_cars"])
    if cars == 0:
        for name in ("garage_type", "garage_finish", "garage_qual", "garage_cond"):
            yield name, NONE, "no garage"
        yield "garage_area", 0.0, "no garage"
    else:
        usual = typical.by_quality["garage_type"][_grade(full) - 1]
        yield "garage_type", "Detchd" if usual == NONE else usual, "the usual type in houses of this quality"
        yield "garage_area", round(cars * typical.area_per_car), f"{typical.area_per_car:.0f} sq ft a car"
    yield "garage_yr_blt", full["year_built"], "the year the house was built"


def _basement(full: Complete, typical: Typical) -> Iterable[Filling]:
    area = float(full["total_bsmt_sf"])
    if area == 0:
        for name in ("bsmt_qual", "bsmt_cond", "bsmt_exposure", "bsmtfin_type_1", "bsmtfin_type_2"):
            yield name, NONE, "no basement"
        for name in ("bsmtfin_sf_1", "bsmtfin_sf_2", "bsmt_unf_sf", "bsmt_full_bath", "bsmt_half_bath"):
            yield name, 0.0, "no basement"
        return
    yield "bsmtfin_sf_2", 0.0, "taken as one kind of finish"
    finished = float(full["bsmtfin_sf_2"])
    if "bsmt_unf_sf" in full:
        first = max(0.0, area - finished - float(full["bsmt_unf_sf"]))
        yield "bsmtfin_sf_1", first, "the basement less its other parts"
    share = float(round(area * typical.finished_share))
    yield "bsmtfin_sf_1", max(0.0, min(share, area - finished)), "a typical share of the basement"
    yield "bsmt_unf_sf", max(0.0, area - finished - float(full["bsmtfin_sf_1"])), "the basement less its finished parts"


def _floors(full: Complete) -> Iterable[Filling]:
    """Split the living area into floors: the first floor is about as large as the basement under it."""
    living, low = float(full["gr_liv_area"]), float(full.get("low_qual_fin_sf", 0.0))
    yield "low_qual_fin_sf", 0.0, "taken as none"
    if "first_flr_sf" in full:
        rest = max(0.0, living - low - float(full["first_flr_sf"]))
        yield "second_flr_sf", rest, "the living area less the first floor"
    if "second_flr_sf" in full:
        rest = max(0.0, living - low - float(full["second_flr_sf"]))
        yield "first_flr_sf", rest, "the living area less the second floor"
    basement = float(full["total_bsmt_sf"])
    one_storey = full.get("house_style", "1Story") == "1Story" and (basement == 0 or basement > 0.85 * living)
    first = living - low if one_storey else min(living - low, max(basement, 0.5 * living))
    first = max(0.0, min(first, float(full["lot_area"])))
    yield "first_flr_sf", first, "about the basement's area, at most the living area"
    yield "second_flr_sf", max(0.0, living - low - first), "the living area less the first floor"
    upper, old = float(full["second_flr_sf"]) > 0, float(full["year_built"]) < 1946
    style = ("1.5Fin" if old else "2Story") if upper else "1Story"
    yield "house_style", style, "from the floors' areas and the year built"
    subclass = ("050" if old else "060") if upper else ("030" if old else "020")
    yield "ms_subclass", subclass, "from the floors' areas and the year built"


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
