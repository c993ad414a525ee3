"""A window of the prediction log: which versions answered, and a sample of what they were asked, as columns."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portfolio_shared.operations.store import SQLITE, LoggedPrediction, Store, StoreError, connect
from portfolio_shared.operations.watch import Columns, RowColumns

WINDOW_ROWS = 2000  # that are compared; more would cost memory and find nothing that these do not
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
        What it said of the first of these.
    """

    columns: Columns
    rows: int
    read: int
    unreadable: int
    reason: str


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


def rows_by_version(store: Store, model: str, *, since: float, until: float) -> dict[str, int]:
    """Return how many things each version of a model predicted, the busiest first."""
    counted = store.execute(
        "SELECT version, SUM(items) FROM predictions WHERE model = ? AND at >= ? AND at < ? "
        "GROUP BY version ORDER BY 2 DESC, 1",
        [model, since, until],
    )
    return {str(version): int(items) for version, items in counted}


def read_window(
    predictions: Iterable[LoggedPrediction], columns: RowColumns, reference: Columns, *, version: str, seed: int = 0
) -> Sample:
    """Draw rows of one version from a window, in constant memory (Vitter 1985, algorithm R)."""
    draw = random.Random(seed)  # noqa: S311 - a sample
    kept: dict[int, Mapping[str, float | str]] = {}
    seen = read = unreadable = 0
    reason = ""
    for prediction in predictions:
        if prediction.version != version:
            continue
        slots = [n if (n := seen + i) < WINDOW_ROWS else draw.randrange(n + 1) for i in range(prediction.items)]
        seen += prediction.items
        if min(slots, default=WINDOW_ROWS) >= WINDOW_ROWS:
            continue
        read += prediction.items
        try:
            rows = _rows(columns, prediction, reference)
        except UNREADABLE as error:
            unreadable += prediction.items
            reason = reason or f"{type(error).__name__}: {error}"[:200]
            continue
        kept |= {slot: row for slot, row in zip(slots, rows, strict=True) if slot < WINDOW_ROWS}
    return Sample(_table(list(kept.values()), reference), len(kept), read, unreadable, reason)


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
