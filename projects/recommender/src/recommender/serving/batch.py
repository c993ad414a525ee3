"""Recommend for a file of histories of any length: some rows are read, answered and written, then the next."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from portfolio_shared.data.tables import FileError, Table, open_table
from portfolio_shared.serving.batch import ERROR, BatchResult, predict_rows, refusal
from recommender.config import MAX_HISTORY
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.serving.history_text import InvalidHistoryError, history_of

HISTORY = "history"
ADDED = ("films", "basis", "unknown", ERROR)
"""Columns that are added: ids of the films, what they rest on, unknown ids of the history, why a row has no answer."""


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    k: int = 10,
    max_history: int = MAX_HISTORY,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Recommend `k` films for every row of a text table and write it with the added columns; no row is lost.

    The column `history` is as `parse_history` reads it; other columns are passed through. Rows with longer histories
    than `max_history` are refused, as the API does. `advance` is called with the number of rows that were done.

    Raises
    ------
    FileError
        If it is no table, has no column `history` or two, or has one of the columns that are added.
    """
    with open_table(source, known=_is_history) as table:
        column = _column(table)

        def answer(rows: list[list[str]]) -> list[list[str]]:
            return answers(predictor, [cells[column] for cells in rows], k=k, max_history=max_history)

        return predict_rows(table, target, ADDED, answer, advance=advance)


def answers(
    predictor: Predictor, cells: Sequence[object], *, k: int, max_history: int = MAX_HISTORY
) -> list[list[str]]:
    """Return what is added to each row: for its history as `history_of` reads it, or the reason why it is refused."""
    read = [_read(cell, max_history) for cell in cells]
    histories = [history for history in read if not isinstance(history, str)]
    predictions = iter(predictor.predict(histories, k=k, n_reasons=0, chances=False))
    added = []
    for history in read:
        if isinstance(history, str):
            added.append(refusal(ADDED, history))
        else:
            prediction = next(predictions)
            unknown = " ".join(map(str, prediction.unknown))
            added.append([" ".join(map(str, prediction.ids)), prediction.basis, unknown, ""])
    return added


def _read(cell: object, max_history: int) -> list[Seen] | str:
    """Return the history, or why there is none."""
    try:
        history = history_of(cell)
    except InvalidHistoryError as error:
        return str(error)
    if len(history) > max_history:
        return f"the history has {len(history)} films, and at most {max_history} are read"
    return history


def _is_history(heading: str) -> bool:
    return heading.casefold() == HISTORY


def _column(table: Table) -> int:
    found = [heading for heading in table.headings if _is_history(heading)]
    if len(found) == 1:
        return table.headings.index(found[0])
    what = f"one column {HISTORY}" if found else f"a heading with the column {HISTORY}"
    close = [] if found else difflib.get_close_matches(HISTORY, table.headings, n=1)
    hint = f"; rename {close[0]!r} if that is it" if close else ""
    raise FileError(f"{table.path}: expected {what}, found {', '.join(table.headings)[:500]}{hint}")
