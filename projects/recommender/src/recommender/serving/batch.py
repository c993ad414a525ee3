"""Recommend for a file of histories of any length: rows are read, answered and written one after the other."""

from collections.abc import Callable
from pathlib import Path

from portfolio_shared.data.tables import FileError, open_table
from portfolio_shared.serving.batch import ERROR, BatchResult, predict_rows, refusal
from recommender.models.predictor import Predictor
from recommender.serving.history_text import InvalidHistoryError, parse_history

HISTORY = "history"
ADDED = ("films", "basis", "unknown", ERROR)
"""Columns that are added: ids of the films, what they rest on, unknown ids of the history, why a row has no answer."""


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    k: int = 10,
    max_history: int = 500,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Recommend `k` films for every row of a CSV file and write it with the added columns; no row is lost.

    The column `history` is as `parse_history` reads it; other columns are passed through. Rows with longer histories
    than `max_history` are refused, as the API does. `advance` is called with 1 after each row.

    Raises
    ------
    FileError
        If there is no heading, it has no `history`, or it has one of the columns that are added.
    """
    with open_table(source, known=lambda heading: heading == HISTORY) as table:
        if HISTORY not in table.headings:
            raise FileError(f"{source}: expected a heading with the column {HISTORY}, found {table.headings}")
        at = table.headings.index(HISTORY)

        def answer(rows: list[list[str]]) -> list[list[str]]:
            return [_answer(row[at], predictor, k, max_history) for row in rows]

        return predict_rows(table, target, ADDED, answer, advance=advance)


def _answer(text: str, predictor: Predictor, k: int, max_history: int) -> list[str]:
    """Return the added cells of one row."""
    try:
        history = parse_history(text)
    except InvalidHistoryError as error:
        return refusal(ADDED, str(error))
    if len(history) > max_history:
        return refusal(ADDED, f"the history has {len(history)} films, and at most {max_history} are read")
    (prediction,) = predictor.predict([history], k=k, n_reasons=0)
    return [prediction.film_ids, prediction.basis, " ".join(map(str, prediction.unknown)), ""]
