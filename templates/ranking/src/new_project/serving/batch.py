"""Recommend for a file of histories of any length: some rows are read, answered and written, then the next."""

from collections.abc import Callable, Sequence
from pathlib import Path

from new_project.data.items import SEPARATOR
from new_project.models.predictor import Predictor
from portfolio_shared.data.tables import FileError, open_table
from portfolio_shared.serving.batch import ERROR, BatchResult, predict_rows

HISTORY = "history"
ADDED = ("items", "basis", "unknown", ERROR)
"""Columns that are added: ids of the items, what they rest on, unknown ids of the history, why there is no answer."""


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    note: Callable[[str], None] = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Recommend for every row of a text table, whose column `history` has ids between bars; no row is lost.

    Raises
    ------
    FileError
        If it is no table, or has no column `history`.
    """
    with open_table(source, known=lambda heading: heading.casefold() == HISTORY) as table:
        headings = [heading.casefold() for heading in table.headings]
        if headings.count(HISTORY) != 1:
            raise FileError(f"{source}: expected one column {HISTORY}, found {', '.join(table.headings)[:500]}")
        place = headings.index(HISTORY)
        if others := [heading for heading in table.headings if heading.casefold() != HISTORY]:
            note(f"Passed through: {', '.join(others)}")

        def answer(rows: list[list[str]]) -> list[list[str]]:
            return answers(predictor, [cells[place] for cells in rows])

        return predict_rows(table, target, ADDED, answer, advance=advance)


def answers(predictor: Predictor, cells: Sequence[str]) -> list[list[str]]:
    """Return the added cells of each history."""
    histories = [[id_.strip() for id_ in cell.split(SEPARATOR) if id_.strip()] for cell in cells]
    return [
        [
            SEPARATOR.join(each.item.id for each in prediction.recommendations),
            prediction.basis,
            SEPARATOR.join(prediction.unknown),
            "",
        ]
        for prediction in predictor.predict(histories)
    ]
