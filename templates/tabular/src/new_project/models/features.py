"""Records as a matrix of numbers, the same for the ridge and for the trees."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from new_project.data.columns import Column, Record, schema

Floats = NDArray[np.float64]

RARE = 10
"""Codes of fewer rows get no column of their own."""
MOST_CODES = 40
DATE_PARTS = ("year", "month", "weekday", "hour")


@dataclass(frozen=True)
class Encoding:
    """What the rows to learn from say of the columns.

    Attributes
    ----------
    ranges
        Of each number, and of the year of each date: least, median, largest. What lies beyond counts as the nearest of
        them: no line is drawn on to where no row was.
    codes
        Of each category: every code, the most frequent first.
    columns
        Of each category: how many of these codes have a column of their own in the matrix.
    """

    ranges: dict[str, tuple[float, float, float]]
    codes: dict[str, list[str]]
    columns: dict[str, int]

    def matrix(self, records: Sequence[Record]) -> Floats:
        """Return the matrix, shape (n, p): NaN for an unknown number, no column set for an unknown or a new code."""
        parts = [self._block(column, [record.get(column.name) for record in records]) for column in schema().columns]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(records), 0))

    def _block(self, column: Column, values: Sequence[float | str | None]) -> Floats:
        if column.kind != "category":
            low, _, high = self.ranges[column.name]
            parts = [(value,) if column.kind == "number" else _date_parts(value) for value in values]
            block = np.array(parts, dtype=np.float64)
            block[:, 0] = np.clip(block[:, 0], low, high)
            return block
        # Objects, not texts: a cell that is not known is none of the codes, not even of one that is written None.
        codes = np.array(self.codes[column.name][: self.columns[column.name]], dtype=object)
        return np.asarray(np.array(values, dtype=object)[:, None] == codes, dtype=np.float64)

    def names(self) -> list[str]:
        """Return the name of each column of the matrix, shape (p,)."""
        names = []
        for column in schema().columns:
            parts = {"number": [""], "date": [f" ({part})" for part in DATE_PARTS], "category": []}[column.kind]
            codes = self.codes.get(column.name, [])[: self.columns.get(column.name, 0)]
            names += [column.name + part for part in (*parts, *(f" = {code}" for code in codes))]
        return names

    def filled(self, record: Record) -> list[str]:
        """Return the columns that a record leaves open."""
        return [column.name for column in schema().columns if record.get(column.name) is None]

    def warnings(self, record: Record) -> list[str]:
        """Say where a record lies outside of the rows that were learned from."""
        warnings = []
        for column in schema().columns:
            value = record.get(column.name)
            if isinstance(value, float | int) and not isinstance(value, bool):
                low, _, high = self.ranges[column.name]
                if not low <= value <= high:
                    warnings.append(
                        f"{column.name} {value:g} is outside of {low:g} to {high:g}, the range learned from"
                    )
            elif column.kind == "date" and value is not None:
                low, _, high = self.ranges[column.name]
                if not low <= _date_parts(value)[0] <= high:
                    known = f"{_date_at(low)} to {_date_at(high)}, the range learned from"
                    warnings.append(f"{column.name} {str(value)[:10]} is outside of {known}")
            elif column.kind == "category" and value is not None and value not in self.codes[column.name]:
                warnings.append(f"no row that was learned from has {column.name} {value}")
        return warnings


def _date_parts(value: float | str | None) -> tuple[float, float, float, float]:
    if not isinstance(value, str):
        return (np.nan,) * 4
    day = datetime.fromisoformat(value)
    return day.year + (day.timetuple().tm_yday - 1) / 366, day.month, day.weekday(), day.hour


def _date_at(year: float) -> date:
    """Return the date that a year with its fraction is, the inverse of the first of the parts of a date."""
    return date(int(year), 1, 1) + timedelta(days=round(year % 1 * 366))


def fit_encoding(records: Sequence[Record]) -> Encoding:
    """Learn ranges and codes from rows."""
    ranges, codes, columns = {}, {}, {}
    for column in schema().columns:
        given = [value for record in records if (value := record.get(column.name)) is not None]
        if column.kind != "category":
            first = [_date_parts(value)[0] if column.kind == "date" else value for value in given]
            numbers = np.array(first or [0.0], dtype=np.float64)
            ranges[column.name] = (float(numbers.min()), float(np.median(numbers)), float(numbers.max()))
        elif column.kind == "category":
            counted = Counter(map(str, given)).most_common()
            codes[column.name] = [code for code, _ in counted]
            columns[column.name] = sum(count >= RARE for _, count in counted[:MOST_CODES])
    return Encoding(ranges, codes, columns)
