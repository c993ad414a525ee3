"""The ratings of a file as numbers: plain ones by Arrow (`plain.py`), others by pandas.

Where that fails, the rows are read one by one for the first that is wrong.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.tables import FileError, misshapen, open_table, open_text
from recommender.data.files import LARGEST_ID, WHOLE, Files
from recommender.data.headings import RATING_COLUMNS, columns_of, meaning
from recommender.data.plain import read_plain

ROWS_AT_ONCE = 1_000_000  # bounds the memory of text that is being parsed
RATING_TYPES = {"user": np.int32, "film": np.int32, "value": np.float32, "time": np.int64}
Rows = Iterator[tuple[int, list[str]]]


def read_rows(files: Files) -> Iterator[pd.DataFrame]:
    """Yield the ratings in pieces, with the columns of `RATING_TYPES`.

    Raises
    ------
    FileError
        With the first line that is no rating.
    """
    if files.format == "csv":
        yield from _of_table(files)
    elif files.format == "dat":
        # Between single colons, 1::1193::5::978300760 is seven cells, three of them empty.
        names = ["user", "", "film", "", "value", "", "time"]
        yield from _read(files.ratings, ":", names, rows=lambda: _lines(files.ratings, "::"))
    else:
        names = ["user", "film", "value", "time"]
        yield from _read(files.ratings, "\t", names, rows=lambda: _lines(files.ratings, "\t"))


def _of_table(files: Files) -> Iterator[pd.DataFrame]:
    path = files.ratings

    def rows() -> Rows:
        with open_table(path, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
            yield from table.rows()

    with open_table(path, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
        columns = columns_of(table, RATING_COLUMNS)
        files.note_others(table, columns)
        first = next(table.rows(), None)
    if first is None:
        raise FileError(f"{path}: no ratings below the heading")
    line, cells = first
    if wrong := misshapen(line, cells, len(table.headings)):
        raise FileError(f"{path}: {wrong}")
    names = [""] * len(table.headings)
    for name, place in columns.items():
        names[place] = name
    dates = not WHOLE.fullmatch(cells[columns["time"]])
    yield from _read(path, table.separator, names, rows=rows, skip=line - 1, dates=dates)


def _read(
    path: Path, separator: str, names: list[str], *, rows: Callable[[], Rows], skip: int = 0, dates: bool = False
) -> Iterator[pd.DataFrame]:
    """Read ratings, where `names` says what each column is, if anything, or say which line is wrong."""
    named = [name or f"other {place}" for place, name in enumerate(names)]
    blank = named[1::2] if separator == ":" else []
    comma = separator in (";", "\t", "|")  # where numbers may have a decimal comma
    types = dict.fromkeys([*named, "surplus"], str) | RATING_TYPES
    types |= ({"value": str} if comma else {}) | ({"time": str} if dates else {})
    try:
        with open_text(path) as text:
            rest = yield from read_plain(text.buffer, separator, named, blank=blank, skip=skip)
            if rest is None:
                return
            text.seek(0)
            for _ in range(rest):
                text.readline()
            for chunk in pd.read_csv(
                text, sep=separator, header=None, names=[*named, "surplus"], dtype=types, chunksize=ROWS_AT_ONCE
            ):
                yield _numbers(chunk, ["surplus", *blank], comma=comma, dates=dates)
    except (ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise FileError(_first_wrong(path, names, rows(), comma=comma, dates=dates) or f"{path}: {error}") from error


def _numbers(chunk: pd.DataFrame, blank: list[str], *, comma: bool, dates: bool) -> pd.DataFrame:
    """Return the columns of `RATING_TYPES`, or raise ValueError if a column that is to be blank is not."""
    if not isinstance(chunk.index, pd.RangeIndex) or chunk[blank].notna().any(axis=None):
        raise ValueError("there are rows with more cells than expected")
    if comma:
        chunk["value"] = pd.to_numeric(chunk["value"].str.replace(",", ".")).astype(np.float32)
    if dates:
        seconds = pd.to_datetime(chunk["time"], utc=True, format="ISO8601").dt.as_unit("s")
        if seconds.isna().any():
            raise ValueError("a date is missing")
        chunk["time"] = seconds.astype(np.int64)
    return chunk[list(RATING_TYPES)]


def _first_wrong(path: Path, names: list[str], rows: Rows, *, comma: bool, dates: bool) -> str | None:
    """Return what is wrong with the first row that is no rating."""
    wanted = RATING_TYPES if path.suffix.lower() == ".dat" else names
    expected = {"user": "a whole number", "film": "a whole number", "value": "stars", "time": "seconds since 1970"}
    if dates:
        expected["time"] = "a date such as 2005-04-02 23:53:47"
    for line, cells in rows:
        if wrong := misshapen(line, cells, len(wanted)):
            return f"{path}: {wrong}"
        for name, cell in zip(wanted, cells, strict=True):
            if name and not _may_be(name, cell.replace(",", ".") if comma and name == "value" else cell, dates=dates):
                return f"{path}, line {line}: {name} is {cell[:80]!r}; expected {expected[name]}"
    return None


def _may_be(name: str, cell: str, *, dates: bool) -> bool:
    try:
        if name == "value":
            return not cell or float(cell) is not None
        if name == "time" and dates:
            return datetime.fromisoformat(cell) is not None
    except ValueError:
        return False
    return bool(WHOLE.fullmatch(cell)) and (name == "time" or abs(int(cell)) <= LARGEST_ID)


def _lines(path: Path, separator: str) -> Rows:
    with open_text(path) as text:
        for line, row in enumerate(text, start=1):
            if row.strip():
                yield line, row.rstrip("\r\n").split(separator)
