"""Recommend for a file of histories of any length: rows are read, answered and written one after the other."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recommender.models.predictor import Predictor
from recommender.serving.history_text import InvalidHistoryError, parse_history

HISTORY = "history"
ADDED = ("films", "basis", "unknown", "error")
"""Columns that are added: ids of the films, what they rest on, unknown ids of the history, why a row has no answer."""

Row = dict[str, str]


class FileError(ValueError):
    """A file that cannot be answered at all; the message says what is wrong with its heading."""


@dataclass(frozen=True)
class BatchResult:
    """How many rows were answered, and how many were refused with a reason in the column `error`."""

    answered: int
    refused: int


def predict_file(
    source: Path,
    target: Path,
    predictor: Predictor,
    *,
    k: int = 10,
    max_history: int = 500,
    advance: Callable[[int], None] = lambda _: None,
) -> BatchResult:
    """Recommend for every row of a CSV file and write it with the added columns; no row is lost.

    Parameters
    ----------
    source
        CSV with a column `history`, as `recommender.serving.history_text.parse_history` reads it; other columns are
        passed through.
    target
        File to write; replaced when everything is written, so that a broken run leaves no half file.
    k
        Films for each history.
    max_history
        Rows with longer histories are refused, as the API does.
    advance
        Called with 1 after each row.

    Raises
    ------
    FileError
        If there is no heading, it has no `history`, or it has one of the columns that are added.
    """
    partial = target.with_name(target.name + ".part")
    answered = refused = 0
    try:
        with source.open(newline="", encoding="utf-8-sig") as reading, partial.open("w", newline="") as writing:
            reader = csv.DictReader(reading)
            headings = list(reader.fieldnames or ())
            _check(source, headings)
            writer = csv.DictWriter(writing, [*headings, *ADDED], extrasaction="ignore")
            writer.writeheader()
            for row in reader:
                answer = _answer(row, predictor, k, max_history)
                writer.writerow(row | answer)
                refused += bool(answer["error"])
                answered += not answer["error"]
                advance(1)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return BatchResult(answered, refused)


def _check(source: Path, headings: list[str]) -> None:
    if HISTORY not in headings:
        raise FileError(f"{source}: expected a heading with the column {HISTORY}, found {headings}")
    if taken := sorted(set(headings) & set(ADDED)):
        raise FileError(f"{source}: the columns {', '.join(taken)} would be overwritten: rename them")


def _answer(row: Row, predictor: Predictor, k: int, max_history: int) -> Row:
    """Return the added columns of one row."""
    if None in row or None in row.values():  # what the csv module does with too many and too few cells
        return dict.fromkeys(ADDED, "") | {"error": "the row has more or fewer cells than the heading"}
    try:
        history = parse_history(row[HISTORY])
    except InvalidHistoryError as error:
        return dict.fromkeys(ADDED, "") | {"error": str(error)}
    if len(history) > max_history:
        said = f"the history has {len(history)} films, and at most {max_history} are read"
        return dict.fromkeys(ADDED, "") | {"error": said}
    answer = predictor.recommend(history, k=k, n_reasons=0)
    return {
        "films": " ".join(str(one.film.id) for one in answer.recommendations),
        "basis": answer.basis,
        "unknown": " ".join(map(str, answer.unknown)),
        "error": "",
    }
