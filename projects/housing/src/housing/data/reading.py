"""Tables of houses, column by column: what headings mean, cells as numbers, and which rows are no possible houses.

Training and files to price are read here; a row that is refused is told why by `house.validated`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from housing.data.cells import SPELLINGS, Ambiguous, meaning
from housing.data.columns import NONE, column_name, columns, resembling
from housing.data.consistency import broken_rules
from housing.data.repair import QUANTITIES, repairs
from housing.data.values import MANY, Change, Values, change_many, code, code_values, unknown

UNREADABLE = float("inf")
MOST_TEXTS = 5_000  # different texts of a column that are remembered: a file of any length fits into memory

FULL, MOSTLY_EMPTY = 0.9, 0.7
MOSTLY_NONE = ("alley", "pool_qc", "fence", "misc_feature")
"""What most houses have not: 80 to 99.6 % of the published cells are NA."""


def places_of(headings: Sequence[str]) -> dict[str, int]:
    """Return column -> place among the headings, for those that mean one.

    Raises
    ------
    ValueError
        If two headings mean one column, or an unknown one resembles a column that the file has not.
    """
    places: dict[str, int] = {}
    for place, heading in enumerate(headings):
        name = column_name(heading)
        if name in places:
            raise ValueError(f"two headings mean the same column: {headings[places[name]]}, {heading}")
        if name is not None:
            places[name] = place
    for heading in headings:
        if column_name(heading) is None and (name := resembling(heading)) and name not in places:
            raise ValueError(f"the heading {heading} is unknown and resembles {name}: correct or rename it")
    return places


class Cells(dict[str, float]):
    """Text of a column's cell -> number: each text is read once; NaN is unknown, what cannot be read is infinite."""

    def __init__(self, name: str, *, semicolons: bool) -> None:
        self._name, self._semicolons = name, semicolons

    def __missing__(self, text: str) -> float:
        if len(self) >= MOST_TEXTS:
            self.clear()
        number = self[text] = self._read(meaning(self._name, text, semicolons=self._semicolons))
        return number

    def _read(self, value: Any) -> float:
        if value is None:
            return float("nan")
        if isinstance(value, Ambiguous):
            return UNREADABLE
        if columns()[self._name].choices:
            spelled = SPELLINGS.get(self._name, {}).get(value, value)
            return code_values()[self._name].get(spelled, UNREADABLE)
        try:
            return float(_number(columns()[self._name].kind).validate_python(value))
        except (ValidationError, OverflowError):
            return UNREADABLE


@cache
def _number(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(int if kind == "integer" else FiniteFloat)


class TableReader:
    """Rows of text -> a table of numbers, by the places of its columns.

    Parameters
    ----------
    emptied
        Columns whose empty cells mean "has none", because pandas took their NA away (`emptied_columns`).
    """

    def __init__(self, places: Mapping[str, int], *, semicolons: bool, emptied: Collection[str] = ()) -> None:
        self.places, self.semicolons, self.emptied = places, semicolons, emptied
        self._cells = {name: Cells(name, semicolons=semicolons) for name in places}

    def read(self, cells: Sequence[Sequence[str]]) -> tuple[Values, list[tuple[str, str, NDArray[np.bool_]]]]:
        """Return a table from the cells of each place, and what was put right in it: column, rule, rows (n,)."""
        n = len(cells[0])
        table: Values = dict.fromkeys(columns(), np.full(n, np.nan))
        # With more than one key, an item getter looks them all up in a fifth of the time of a loop.
        texts = {name: cells[place] for name, place in self.places.items()}
        numbers = [
            itemgetter(*text)(self._cells[name]) if n > 1 else [self._cells[name][each] for each in text]
            for name, text in texts.items()
        ]
        table |= dict(zip(texts, np.array(numbers, dtype=np.float64), strict=True))
        change_many(table, self._nones(table))
        return table, change_many(table, repairs(table, MANY, self.places.keys()))

    def _nones(self, table: Values) -> Iterator[Change]:
        """Yield the codes of "has none" that empty cells stand for: those of which there is no quantity above 0."""
        for name in self.emptied:
            absent = table[QUANTITIES[name][0]] == 0 if name in QUANTITIES else True
            yield name, code(name, NONE), "", unknown(table[name]) & absent


def emptied_columns(places: Mapping[str, int], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the columns whose NA has become an empty cell in these first rows, as pandas reads and writes it.

    Such a file has no NA in a column that may say "has none", hardly anything in those that mostly say it, and its
    numbers are there all the same.
    """
    levels = [name for name in places if NONE in columns()[name].choices]
    rare = [name for name in MOSTLY_NONE if name in places]
    numbers = [name for name in places if columns()[name].is_numeric]

    def share(names: Sequence[str]) -> float:
        return sum(row[places[name]].strip() == "" for row in rows for name in names) / (len(rows) * len(names))

    if len(rare) < 2 or not rows or not numbers:
        return []
    if any(row[places[name]].strip() in ("NA", NONE) for row in rows for name in levels if name != "mas_vnr_type"):
        return []
    return levels if min(share([name]) for name in rare) >= MOSTLY_EMPTY and share(numbers) <= 1 - FULL else []


def impossible(table: Values) -> NDArray[np.bool_]:
    """Return which rows are no houses that can be priced: unreadable, out of bounds, open or contradictory, (n,)."""
    numeric = [column for column in columns().values() if column.is_numeric]
    numbers = np.array([table[column.name] for column in numeric])
    low = np.array([[column.minimum] for column in numeric], dtype=np.float64)
    high = np.array([[column.maximum] for column in numeric], dtype=np.float64)
    bad: Any = ((numbers < low) | (numbers > high)).any(axis=0)
    bad |= np.isinf([table[name] for name in code_values()]).any(axis=0)
    required = [name for name, column in columns().items() if column.required and not column.nullable]
    bad |= np.isnan([table[name] for name in required]).any(axis=0)
    for _, broken in broken_rules(table):
        bad |= broken
    return np.asarray(bad)
