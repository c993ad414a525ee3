"""Fill what a record leaves open, by stated rules, and say what was filled and why.

A person knows about ten things of a house; the model wants 79. The same code fills the few unknown
cells of the training data, so a value is never filled one way in training and another way in serving.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from housing.data.columns import Record, columns
from housing.data.values import MANY, ONE, Arithmetic, Values, code_values, known, unknown, values_of
from housing.models.fillings import Filled, Filling, Fills, Value, filling_of, fillings, typical_of

Complete = dict[str, float | str]
"""A record with a value in every column."""

Steps = Sequence[tuple[Value | None, Sequence[Filling]]]
"""What has to be true, and the rules that then fill."""

MOST_KEPT = 1000  # patterns of gaps, of which what fills them is kept


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
    def fillings(self) -> Sequence[Filling]:
        """The rules that fill what is unknown, in their order."""
        return [filling_of(*parts) for parts in fillings(self)]

    def fillings_of(self, given: tuple[str, ...]) -> tuple[Values, Steps]:
        """Return the columns that are unknown where these are given, as NaN, and the rules that may fill them.

        Rules that follow each other and hold where the same is true stand together, with what that is.
        """
        found: tuple[Values, Steps] | None = self._kept.get(given)
        if found is None:
            gaps = {name: float("nan") for name in columns() if name not in given}
            rules = groupby((rule for rule in self.fillings if rule.name in gaps), key=attrgetter("holds"))
            found = gaps, [(holds, list(same)) for holds, same in rules]
            self._keep(given, found)
        return found

    def rest(self, grade: int, gaps: tuple[str, ...]) -> tuple[Values, Sequence[Filled], str]:
        """Return the typical numbers of these columns, what is said of them, and that as JSON."""
        found: tuple[Values, Sequence[Filled], str] | None = self._kept.get((grade, gaps))
        if found is None:
            filled = [Filled(name, self.by_quality[name][grade], typical_of(grade)) for name in gaps]
            numbers = {name: self.numbers[name][grade] for name in gaps}
            found = numbers, filled, ",".join([entry.json() for entry in filled])
            self._keep((grade, gaps), found)
        return found

    def _keep(self, key: tuple[Any, ...], found: Any) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = found

    @cached_property
    def _kept(self) -> dict[tuple[Any, ...], Any]:
        return {}

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


def fill_one(house: Values, typical: Typical) -> Fills:
    """Fill the columns that one house lacks, or that are NaN, in place; return what was filled."""
    given = tuple([name for name, number in house.items() if number == number])  # noqa: PLR0124
    if len(given) == len(columns()):
        return Fills()
    unknown_, steps = typical.fillings_of(given)
    gaps, filled, texts = unknown_.copy(), list[Filled](), list[str]()
    house |= unknown_
    grade = _grade(house, ONE)
    for holds, rules in steps:
        if holds is not None and not holds(house, ONE, grade):
            continue
        for rule in rules:
            name, value, _, _, is_constant, said = rule
            if name in gaps:
                del gaps[name]
                house[name] = number = value if is_constant else value(house, ONE, grade)
                entry, text = said.get(number) or rule.say(number, grade)
                filled.append(entry)
                texts.append(text)
    if "overall_qual" in unknown_:
        grade = _grade(house, ONE)
    numbers, shared, text = typical.rest(grade, tuple(gaps))
    house |= numbers
    return Fills((*filled, *shared), [*texts, text] if text else texts)


def fill_many(table: Values, typical: Typical) -> NDArray[np.intp]:
    """Fill the unknown columns of a table in place; return how many were filled in each row, shape (n,)."""
    count, grade = np.zeros(len(table["lot_area"]), dtype=np.intp), _grade(table, MANY)
    for name, value, _, holds, is_constant, _ in typical.fillings:
        gaps = unknown(table[name])
        if gaps.any() and (gaps := gaps if holds is None else gaps & holds(table, MANY, grade)).any():
            number = value if is_constant else value(table, MANY, grade)
            table[name] = np.where(gaps, number, table[name])
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
