"""Files of any length, row by row in constant memory; no row is lost, and a refused one says why."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

Row = dict[str, str]
ERROR = "error"
"""Column that says why a row has no answer; empty where it has one."""


class FileError(ValueError):
    """A file that cannot be answered at all; the message names it and says what is wrong."""


@dataclass(frozen=True)
class BatchResult:
    """How many rows were answered, and how many were refused with a reason in the column `error`."""

    done: int
    refused: int


def write_rows(
    target: Path, headings: Sequence[str], rows: Iterable[Row], *, advance: Callable[[int], None]
) -> BatchResult:
    """Write rows as CSV and count those with an `error`; a broken run leaves no half file.

    Parameters
    ----------
    target
        File to write; replaced when everything is written.
    advance
        Called with 1 after each row.
    """
    partial = target.with_name(target.name + ".part")
    done = refused = 0
    try:
        # A file name in a cell need not be UTF-8: its bytes are written as they are.
        with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            writer = csv.DictWriter(stream, headings, extrasaction="ignore")
            writer.writeheader()
            for row in rows:
                writer.writerow(row)
                refused += bool(row[ERROR])
                done += not row[ERROR]
                advance(1)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return BatchResult(done, refused)


@contextmanager
def open_rows(source: Path, *, added: Sequence[str]) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """Open a CSV file; yield its headings and its rows.

    Parameters
    ----------
    added
        Columns that the answer adds: they must not be in the file.

    Raises
    ------
    FileError
        If the file has a column that is added; while rows are read, if it is no CSV.
    """
    with source.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        headings = list(reader.fieldnames or ())
        if taken := sorted(set(added) & set(headings)):
            raise FileError(f"{source}: rename the columns {', '.join(taken)}, whose names are those of the added ones")
        yield headings, _rows(source, reader)


def chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Yield the rows in lists of `size`, the last one shorter."""
    while chunk := list(islice(rows, size)):
        yield chunk


def refusal(columns: Sequence[str], reason: str) -> Row:
    """Return the added columns of a row that has no answer."""
    return dict.fromkeys(columns, "") | {ERROR: reason}


def misshapen(row: Row) -> str | None:
    """Return why a row cannot be read, if it has more or fewer cells than the heading."""
    broken = None in row or None in row.values()  # what the csv module does with too many and too few cells
    return "the row has more or fewer cells than the heading" if broken else None


def _rows(source: Path, reader: Iterator[Row]) -> Iterator[Row]:
    try:
        yield from reader
    except csv.Error as error:
        raise FileError(f"{source}: {error}; is a quotation mark never closed?") from error
