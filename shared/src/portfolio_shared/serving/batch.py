"""Files of any length, in constant memory; no row is lost, and a refused one says why."""

import csv
import io
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from portfolio_shared.data.tables import Columns, FileError, Table, misshapen

ERROR = "error"
"""Last column of an answer: why a row has none; empty where it has one."""
REPAIRED = "repaired"
"""Column that says what was corrected in a row before it was answered; empty where nothing was."""


Answered = tuple[str, Sequence[str]]
"""A row as it is written, and its cells, or those that were added: the last is its error."""


@dataclass(frozen=True)
class BatchResult:
    """How many rows were answered, how many were refused with a reason, and how many of the first were repaired."""

    done: int
    refused: int
    repaired: int = 0


def announce_model(folder: Path, project: str) -> None:
    """Check the bundle that `predict` answers from, and say on stderr which model it is.

    Raises
    ------
    BundleError
        If the bundle is damaged, or of another project.
    ValueError
        If there is none.
    """
    from portfolio_shared.bundle import MANIFEST_NAME, read_manifest  # a model that MLflow runs has this module alone

    if not (folder / MANIFEST_NAME).is_file():
        raise ValueError(f"no model in {folder}: train first, or name one with --bundle (run in the clone's root)")
    manifest = read_manifest(folder, project=project)
    created = f"{manifest.created:%Y-%m-%d %H:%M} UTC"
    sys.stderr.write(f"{folder}: model of {created}, learned from {manifest.data.name} ({manifest.data.source})\n")


def refuse_contradictions(source: Path | None, *, follow: bool, given: Collection[str]) -> None:
    """Raise ValueError if `predict` has nothing to read, or a file to write for a stream.

    Parameters
    ----------
    given
        Names of the options that were given: a default contradicts nothing.
    """
    if follow and "output" in given:
        raise ValueError("--follow answers on standard output: leave out --output")
    if source is None and not follow:
        raise ValueError("name a file, or --follow to read JSON lines from standard input")


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
    refuse_taken(table, added)
    width = len(table.headings)

    def answered() -> Iterator[list[str]]:
        rows = table.rows()
        while chunk := list(islice(rows, rows_at_once)):
            yield from _answered(chunk, width, added, answer)
            advance(len(chunk))

    return write_rows(target, [*table.headings, *added], answered())


def predict_columns(
    table: Table,
    target: Path,
    added: Sequence[str],
    answer: Callable[[Columns], Iterable[Sequence[str]]],
    *,
    rows_at_once: int = 1000,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Answer as `predict_rows` does, for an `answer` that takes the cells of each column: the faster way for many rows.

    Plain rows between commas are written as they were read, without being put together again.
    """
    refuse_taken(table, added)
    width = len(table.headings)

    def by_columns(rows: list[list[str]]) -> Iterable[Sequence[str]]:
        return answer(Columns(width, cells=list(zip(*rows, strict=True))))

    def answered() -> Iterator[Answered]:
        for block in table.blocks(rows_at_once):
            if block.lines is not None and table.separator == ",":
                for line, cells in zip(block.lines, answer(block.columns), strict=True):
                    yield f"{line},{as_line(cells)}", cells
            else:
                for cells in _answered(block.rows, width, added, by_columns):
                    yield as_line(cells), cells[width:]
            advance(len(block.rows) if block.lines is None else len(block.lines))

    return write_lines(target, [*table.headings, *added], answered(), added)


def _answered(
    chunk: Sequence[tuple[int, list[str]]],
    width: int,
    added: Sequence[str],
    answer: Callable[[list[list[str]]], Iterable[Sequence[str]]],
) -> Iterator[list[str]]:
    """Yield each row with its added cells."""
    reasons = [misshapen(line, cells, width) for line, cells in chunk]
    whole = [cells for (_, cells), reason in zip(chunk, reasons, strict=True) if reason is None]
    answers = iter(answer(whole) if whole else ())
    for (_, cells), reason in zip(chunk, reasons, strict=True):
        if reason is None:
            yield [*cells, *next(answers)]
        else:
            yield [*cells[:width], *[""] * (width - len(cells)), *refusal(added, reason)]


def write_rows(
    target: Path,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Write rows as CSV and count those with an error, which is their last cell; a broken run leaves no half file.

    Parameters
    ----------
    target
        File to write; replaced when everything is written.
    advance
        Called with 1 after each row.
    """

    def lines() -> Iterator[Answered]:
        for row in rows:
            yield as_line(row), row
            advance(1)

    return write_lines(target, headings, lines(), headings)


def write_lines(target: Path, headings: Sequence[str], rows: Iterable[Answered], names: Sequence[str]) -> BatchResult:
    """Write rows as `write_rows` does: the text of each, and those of its cells that these names are of."""
    at = names.index(REPAIRED) if REPAIRED in names else None
    done = refused = repaired = 0
    with _opened(target) as stream:
        stream.write(f"{as_line(headings)}\n")
        for text, cells in rows:
            stream.write(f"{text}\n")
            if cells[-1]:
                refused += 1
            else:
                done += 1
                repaired += at is not None and bool(cells[at])
    return BatchResult(done, refused, repaired)


def partial_of(target: Path) -> Path:
    """Return the file that becomes `target` when everything is written; each process has its own."""
    return target.with_name(f"{target.name}.{os.getpid()}.part")


@contextmanager
def _opened(target: Path) -> Iterator[IO[str]]:
    """Open what becomes the target in one step; devices and pipes are written as they are, and links are followed."""
    if target.is_dir() or not target.name:
        raise FileError(f"{str(target)!r} is a folder: name a file to write")
    if str(target) == "-":
        raise FileError("- is no name of a file: name one, or /dev/stdout for standard output")
    if not target.parent.is_dir():
        raise FileError(f"{target}: the folder {target.parent} does not exist: make it, or name another")
    # A file name in a cell need not be UTF-8: its bytes are written as they are.
    how: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    if target.absolute().is_relative_to("/dev") or (target.exists() and not target.is_file()):
        with target.open("w", **how) as stream:
            yield stream
        return
    target = target.resolve()
    partial = partial_of(target)
    try:
        with partial.open("w", **how) as stream:
            yield stream
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def as_line(cells: Sequence[str]) -> str:
    """Return cells as a line of CSV without its end; the csv module is asked where something must be quoted.

    Examples
    --------
    >>> as_line(["1", "two words"]), as_line(["1,2", "3"])
    ('1,two words', '"1,2",3')
    """
    text = ",".join(cells)
    if text and '"' not in text and "\n" not in text and "\r" not in text and text.count(",") == len(cells) - 1:
        return text
    stream = io.StringIO()
    csv.writer(stream).writerow(cells)  # quotes the line breaks in a cell that its own line end is made of
    return stream.getvalue().removesuffix("\r\n")


def refuse_taken(table: Table, added: Sequence[str]) -> None:
    """Raise FileError if a table has a column that is added."""
    if taken := sorted(set(added) & set(table.headings)):
        names = ", ".join(taken)
        raise FileError(f"{table.path}: rename the columns {names}, whose names are those of the added ones")


def refusal(added: Sequence[str], reason: str) -> list[str]:
    """Return the added cells of a row that has no answer.

    Examples
    --------
    >>> refusal(["price", "error"], "too large")
    ['', 'too large']
    """
    return [""] * (len(added) - 1) + [reason]
