"""Predict for a file of any length: rows are read, answered and written in chunks of constant size."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from new_project.data.columns import record_of, schema
from new_project.models.predictor import CELLS, Predictor
from portfolio_shared.data.tables import FileError, open_table
from portfolio_shared.serving.batch import BatchResult, predict_rows

ADDED = (*CELLS, "repaired", "error")
"""What each row gets; what was repaired was read as not known."""


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    note: Callable[[str], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Predict for every row of a table and write it with the added columns; no row is lost.

    Raises
    ------
    FileError
        If the file cannot be read as a whole, or has none of the columns.
    """
    known = {column.heading for column in schema().columns} | {column.name for column in schema().columns}
    with open_table(source, known=known.__contains__) as table:
        if not known.intersection(table.headings):
            raise FileError(f"{source}: none of its headings is a column of this model: {', '.join(sorted(known))}")
        if missing := _missing(table.headings):
            note(f"{source}: columns that are missing, and filled in every row: {', '.join(missing)}")

        def answers(rows: list[list[str]]) -> list[Sequence[str]]:
            return answer(table.headings, rows, predictor)

        return predict_rows(table, target, ADDED, answers, advance=advance)


def _headings(given: Sequence[str]) -> list[str]:
    """Return the headings of the data for those of a file, which may be names of the API: an exact heading wins."""
    names = {column.name: column.heading for column in schema().columns}
    exact = {*names.values(), *(name for name, heading in names.items() if heading in given)}
    return [heading if heading in exact else names.get(heading, heading) for heading in given]


def _missing(given: Sequence[str]) -> list[str]:
    return [column.heading for column in schema().columns if column.heading not in _headings(given)]


def answer(headings: Sequence[str], rows: Sequence[Sequence[str]], predictor: Predictor) -> list[Sequence[str]]:
    """Return the added cells of each row; its headings are those of the data or the names of the API."""
    known = _headings(headings)
    repaired: list[Counter[str]] = [Counter() for _ in rows]
    pairs = zip(rows, repaired, strict=True)
    records = [record_of(dict(zip(known, cells, strict=True)), counts) for cells, counts in pairs]
    if not records:
        return []
    return [(*said, "; ".join(counts), "") for said, counts in zip(predictor.cells(records), repaired, strict=True)]
