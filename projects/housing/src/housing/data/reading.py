"""Tables of houses, column by column: what headings mean, cells as numbers, and which rows are no possible houses.

Training and files to price are read here; `house.validated` says why a row is refused.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from housing.data.cells import Ambiguous, meaning, respelled
from housing.data.columns import NONE, column_name, columns, resembling
from housing.data.consistency import broken_rules
from housing.data.repair import QUANTITIES, SPELLED, repairs
from housing.data.values import MANY, Change, Values, change_many, code, code_values, unknown
from housing.data.words import LONGEST, Bools, Floats, Words, WordTable, cut, whole_numbers, word

Texts = Callable[[], Sequence[str]]

UNREADABLE = float("inf")
SECOND_SPELLING = 0.5  # added to the number of a code that is spelled in a second way, until that is counted
MOST_TEXTS = 5_000  # different texts of a column that are remembered: a file of any length fits into memory

FULL, MOSTLY_EMPTY, FEWEST_ROWS = 0.9, 0.7, 5
MOSTLY_NONE = ("alley", "pool_qc", "fence", "misc_feature")
"""What most houses have not: 80 to 99.6 % of the published cells are NA."""


def places_of(headings: Sequence[str]) -> dict[str, int]:
    """Return column -> place among the headings, for those that mean one.

    Raises
    ------
    ValueError
        If two headings mean one column, or an unknown one resembles a column.
    """
    places: dict[str, int] = {}
    for place, heading in enumerate(headings):
        name = column_name(heading)
        if name in places:
            raise ValueError(f"two headings mean the same column: {headings[places[name]]}, {heading}")
        if name is not None:
            places[name] = place
    for heading in headings:
        if column_name(heading) is None and (name := resembling(heading)):
            raise ValueError(f"the heading {heading} is unknown and resembles {name}: correct or rename it")
    return places


class Cells(dict[str, float]):
    """Text of a column's cell -> number: each text is read once; NaN is unknown, what cannot be read is infinite."""

    def __init__(self, name: str, *, semicolons: bool) -> None:
        self._name, self._semicolons = name, semicolons
        self._is_numeric = columns()[name].is_numeric
        self._words = WordTable(MOST_TEXTS)

    def fill(self, numbers: Floats, gaps: Bools, words: Words, lengths: NDArray[np.intp], texts: Texts) -> None:
        """Write the numbers of words that are no whole numbers where the gaps are; `texts` gives the column's cells."""
        rows = np.flatnonzero(gaps)
        found, seen = self._words.find(words[rows])
        seen &= lengths[rows] <= LONGEST
        numbers[rows] = found
        if not seen.all():
            rows, column = rows[~seen], texts()
            numbers[rows] = [self[column[row]] for row in rows.tolist()]
            short = rows[lengths[rows] <= LONGEST]
            self._words.learn(words[short], numbers[short])

    def __missing__(self, text: str) -> float:
        if len(self) >= MOST_TEXTS:
            self.clear()
        if self._is_numeric and len(text) < 10 and text.isascii() and text.isdecimal():  # most of them: no question
            number = float(text)
        else:
            number = self._read(meaning(self._name, text, semicolons=self._semicolons))
        self[text] = number
        return number

    def _read(self, value: Any) -> float:
        if value is None:
            return float("nan")
        if isinstance(value, Ambiguous):
            return UNREADABLE
        if columns()[self._name].choices:
            numbers = code_values()[self._name]
            if value in numbers:
                return numbers[value]
            spelled = respelled(self._name, value)
            return UNREADABLE if spelled is None else numbers[spelled] + SECOND_SPELLING
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
        text = getattr(cells, "text", "")
        table = self._plain(cells) if text and chr(0) not in text else self._looked_up(cells)
        n = len(table["lot_area"]) if "lot_area" in table else len(cells[0])
        table = dict.fromkeys(columns(), np.full(n, np.nan)) | table
        spelled = list(self._spelled(table))
        change_many(table, self._nones(table))
        return table, [*spelled, *change_many(table, repairs(table, MANY, self.places.keys()))]

    def _looked_up(self, cells: Sequence[Sequence[str]]) -> Values:
        # With more than one key, an item getter looks them all up in a fifth of the time of a loop.
        many = len(cells[0]) > 1
        texts = {name: cells[place] for name, place in self.places.items()}
        numbers = [
            itemgetter(*text)(self._cells[name]) if many else [self._cells[name][each] for each in text]
            for name, text in texts.items()
        ]
        return dict(zip(texts, np.array(numbers, dtype=np.float64), strict=True))

    def _plain(self, cells: Any) -> Values:
        """Return the columns of a text in which nothing is quoted."""
        places = list(self.places.values())
        words, lengths = cut(cells.text, cells.separator, len(cells), places)
        numbers, is_number = whole_numbers(words, lengths)
        is_number &= np.array([[columns()[name].is_numeric] for name in self.places])
        for row, (name, place) in enumerate(self.places.items()):
            if not is_number[row].all():
                texts = partial(cells.__getitem__, place)
                self._cells[name].fill(numbers[row], ~is_number[row], words[row], lengths[row], texts)
        return dict(zip(self.places, numbers, strict=True))

    def _spelled(self, table: Values) -> Iterator[tuple[str, str, Bools]]:
        """Yield the columns with codes in a second spelling and the rows, and take the codes for what they mean."""
        for name in filter(self.places.__contains__, code_values()):  # in the order of the columns
            rows = (table[name] < UNREADABLE) & (table[name] == np.floor(table[name]) + SECOND_SPELLING)
            table[name] = np.where(rows, table[name] - SECOND_SPELLING, table[name])
            yield name, SPELLED, rows

    def _nones(self, table: Values) -> Iterator[Change]:
        """Yield the codes of "has none" that empty cells stand for: those of which there is no quantity above 0."""
        for name in self.emptied:
            absent = table[QUANTITIES[name][0]] == 0 if name in QUANTITIES else True
            yield name, code(name, NONE), "", unknown(table[name]) & absent


def emptied_columns(places: Mapping[str, int], blocks: Iterable[Sequence[Sequence[str]]]) -> list[str]:
    """Return the columns whose NA has become an empty cell, as pandas reads and writes it.

    Such a file has no NA in a column that may say "has none", hardly anything in those that mostly say it, and its
    numbers are there all the same. A few rows cannot tell: they may have been written by hand.

    Parameters
    ----------
    blocks
        The cells of each place in all rows of a file, some rows at a time; they are read until the first NA.
    """
    levels = [name for name in places if NONE in columns()[name].choices]
    numbers = [name for name in places if columns()[name].is_numeric]
    telling = [name for name in levels if name != "mas_vnr_type"]
    is_rare = np.isin(telling, MOSTLY_NONE)
    if is_rare.sum() < 2 or not numbers:
        return []
    n_rows, empty = 0, np.zeros(len(telling) + len(numbers))
    for cells in blocks:
        says_none, n_empty, n = _counted(cells, [places[name] for name in (*telling, *numbers)])
        if says_none[: len(telling)].any():
            return []
        n_rows, empty = n_rows + n, empty + n_empty
    shares = empty / max(1, n_rows)
    rare, number = shares[: len(telling)][is_rare], shares[len(telling) :]
    return levels if n_rows >= FEWEST_ROWS and rare.min() >= MOSTLY_EMPTY and number.mean() <= 1 - FULL else []


def _counted(cells: Sequence[Sequence[str]], places: Sequence[int]) -> tuple[Bools, NDArray[np.intp], int]:
    """Return whether a cell of each place is NA or None, (n_places,), how many are empty, and the number of rows."""
    text = getattr(cells, "text", "")
    if text and chr(0) not in text:
        words, lengths = cut(text, getattr(cells, "separator", ""), len(cells), places)
        says_none = (words == word("NA")) | (words == word(NONE))
        return says_none.any(axis=1), (lengths == 0).sum(axis=1), lengths.shape[1]
    texts = [cells[place] for place in places]
    found = np.array([not {"NA", NONE}.isdisjoint(each) for each in texts])
    return found, np.array([each.count("") for each in texts]), len(texts[0])


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
