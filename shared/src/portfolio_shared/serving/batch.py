"""Files of any length, in constant memory; no row is lost, and a refused one says why."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from portfolio_shared.data.tables import FileError, Table, misshapen

ERROR = "error"
"""Last column of an answer: why a row has none; empty where it has one."""
REPAIRED = "repaired"
"""Column that says what was corrected in a row before it was answered; empty where nothing was."""


@dataclass(frozen=True)
class BatchResult:
    """How many rows were answered, how many were refused with a reason, and how many of the first were repaired."""

    done: int
    refused: int
    repaired: int = 0


def predict_rows(
    table: Table,
    target: Path,
    added: Sequence[str],
    answer: Callable[[list[list[str]]], Iterable[Sequence[str]]],
    *,
    rows_at_once: int = 1000,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Answer each row of a table and write it, between commas and in UTF-8, with the added columns.

    Parameters
    ----------
    added
        Columns that the answer adds, `error` the last.
    answer
        Returns the added cells of each of some rows, which have as many cells as there are headings.
    advance
        Called with the number of rows that were read since it was called last.

    Raises
    ------
    FileError
        If the table has a column that is added.
    """
    if taken := sorted(set(added) & set(table.headings)):
        names = ", ".join(taken)
        raise FileError(f"{table.path}: rename the columns {names}, whose names are those of the added ones")
    width = len(table.headings)

    def answered() -> Iterator[list[str]]:
        rows = table.rows()
        while chunk := list(islice(rows, rows_at_once)):
            reasons = [misshapen(line, cells, width) for line, cells in chunk]
            whole = [cells for (_, cells), reason in zip(chunk, reasons, strict=True) if reason is None]
            answers = iter(answer(whole))
            for (_, cells), reason in zip(chunk, reasons, strict=True):
                if reason is None:
                    yield [*cells, *next(answers)]
                else:
                    yield [*cells[:width], *[""] * (width - len(cells)), *refusal(added, reason)]
            advance(len(chunk))

    return write_rows(target, [*table.headings, *added], answered())


def write_rows(
    target: Path,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    advance: Callable[[int], None] | None = None,
) -> BatchResult:
    """Write rows as CSV and count those with an error, which is their last cell; a broken run leaves no half file.

    Parameters
    ----------
    target
        File to write; replaced when everything is written.
    advance
        Called with 1 after each row.
    """
    partial = target.with_name(target.name + ".part")
    at = headings.index(REPAIRED) if REPAIRED in headings else None
    done = refused = repaired = 0
    try:
        # A file name in a cell need not be UTF-8: its bytes are written as they are.
        with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(headings)
            for row in rows:
                writer.writerow(row)
                if row[-1]:
                    refused += 1
                else:
                    done += 1
                    repaired += at is not None and bool(row[at])
                if advance:
                    advance(1)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return BatchResult(done, refused, repaired)


def refusal(added: Sequence[str], reason: str) -> list[str]:
    """Return the added cells of a row that has no answer.

    Examples
    --------
    >>> refusal(["price", "error"], "too large")
    ['', 'too large']
    """
    return [""] * (len(added) - 1) + [reason]
