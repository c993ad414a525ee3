"""A window of the prediction log: which versions answered, and a sample of what they were asked, as columns."""

import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from portfolio_shared.operations.database import SQLITE, StoreError
from portfolio_shared.operations.store import LoggedPrediction, Store, connect
from portfolio_shared.operations.watch import Columns, RowColumns

WINDOW_ROWS = 1000  # that are compared: half of the reference, so that the luck of its draw is hardly seen
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
"""What a project's code raises for a logged row that it does not understand."""


@dataclass(frozen=True)
class Sample:
    """Rows of a window, a row for each thing that was predicted.

    Attributes
    ----------
    columns
        Those of the reference; up to `WINDOW_ROWS` rows, drawn by chance.
    rows
        How many were drawn and read.
    read, unreadable
        Rows that the project's code was asked about, and those of them that it could not read.
    reason
        Which error the first of these was, without a value of it.
    repeated
        Requests that were left out because the same had been asked before: the test takes rows as independent.
    """

    columns: Columns
    rows: int
    read: int
    unreadable: int
    reason: str
    repeated: int


def open_log(url: str) -> Store:
    """Open a prediction log that a service writes; unlike a service, make none.

    Raises
    ------
    StoreError
        If there is none, or it cannot be used.
    """
    if url.startswith(SQLITE) and not (path := Path(url.removeprefix(SQLITE))).is_file():
        raise StoreError(f"there is no prediction log at {path}: start the service, or give --prediction-log")
    return connect(url)


def rows_by_version(store: Store, model: str, *, since: float, until: float) -> tuple[dict[str, int], str]:
    """Return how many things each version of a model predicted, the busiest first, and the one that answered last."""
    counted = store.execute(
        "SELECT version, SUM(items), MAX(at) FROM predictions WHERE model = ? AND at >= ? AND at < ? "
        "GROUP BY version ORDER BY 2 DESC, 1",
        [model, since, until],
    )
    last = max(counted, key=lambda row: row[2], default=("",))[0]
    return {str(version): int(items) for version, items, _ in counted}, str(last)


def predictions_with_feedback(store: Store, model: str, version: str, *, since: float, until: float) -> int:
    """Return of how many predictions of a version a window has feedback."""
    statement = (
        "SELECT COUNT(DISTINCT f.prediction) FROM feedback f JOIN predictions p ON p.id = f.prediction "
        "WHERE p.model = ? AND p.version = ? AND f.at >= ? AND f.at < ?"
    )
    return int(store.execute(statement, [model, version, since, until])[0][0])


def read_window(
    predictions: Iterable[LoggedPrediction], columns: RowColumns, reference: Columns, *, version: str, seed: int = 0
) -> Sample:
    """Draw rows of one version from a window (Vitter 1985, algorithm R); what is asked again counts once.

    It takes memory for the rows that are drawn, and about 100 bytes for each different request.
    """
    draw = random.Random(seed)  # noqa: S311 - a sample
    kept: dict[int, Mapping[str, float | str]] = {}
    asked: set[bytes] = set()
    seen = read = unreadable = repeated = 0
    reason = ""
    for prediction in predictions:
        if prediction.version != version:
            continue
        digest = hashlib.blake2b(prediction.request.encode(), digest_size=16).digest()
        if digest in asked:
            repeated += 1
            continue
        asked.add(digest)
        slots = [n if (n := seen + i) < WINDOW_ROWS else draw.randrange(n + 1) for i in range(prediction.items)]
        seen += prediction.items
        if min(slots, default=WINDOW_ROWS) >= WINDOW_ROWS:
            continue
        read += prediction.items
        try:
            rows = _rows(columns, prediction, reference)
        except UNREADABLE as error:
            unreadable += prediction.items
            reason = reason or named(error)
            continue
        kept |= {slot: row for slot, row in zip(slots, rows, strict=True) if slot < WINDOW_ROWS}
    return Sample(_table(list(kept.values()), reference), len(kept), read, unreadable, reason, repeated)


def named(error: Exception) -> str:
    """Name what is wrong with something logged without repeating a word of it: reports show no row.

    >>> named(KeyError("Ann Smith"))
    'KeyError'
    """
    if not isinstance(error, ValidationError):
        return type(error).__name__
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return " ".join([type(error).__name__, ".".join(map(str, first["loc"])), first["type"]])[:200]


def _rows(columns: RowColumns, prediction: LoggedPrediction, reference: Columns) -> list[Mapping[str, float | str]]:
    rows = columns(prediction)
    if len(rows) != prediction.items:
        raise ValueError(f"expected {prediction.items} rows, found {len(rows)}")
    kinds = {name: str if column.dtype.kind == "U" else float for name, column in reference.items()}
    return [{name: kinds[name](value) for name, value in row.items() if name in kinds} for row in rows]


def _table(rows: list[Mapping[str, float | str]], reference: Columns) -> Columns:
    return {
        name: np.array([row.get(name, "") for row in rows], dtype=np.str_)
        if column.dtype.kind == "U"
        else np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
        for name, column in reference.items()
    }
