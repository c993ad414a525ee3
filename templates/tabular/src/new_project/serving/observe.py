"""What is watched of rows: the truth that feedback brings, and the columns that are compared with the training."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from new_project.config import MODEL_NAME
from new_project.data.columns import key_of, schema
from new_project.data.load import Split
from new_project.data.row import Row, record_in
from new_project.models.predictor import Predictor
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import Columns, Measure, RowColumns, Watch
from portfolio_shared.serving.schemas import Strict

DOUBTED = 1.5
"""Widths of the interval beyond its ends from which a truth is doubted."""


class Truth(Strict):
    """What the target turned out to be."""

    value: float = Field(strict=True, allow_inf_nan=False, description="The target as it was found to be")


def input_schema() -> dict[str, Any]:
    """Return what a row may have, as JSON Schema."""
    return Row.model_json_schema()


def reference(predictor: Predictor, split: Split) -> Columns:
    """Return the columns of the test rows, which the model has not learned from, and its answers to them."""
    records = split.test.records
    value, low, high = predictor.values(records)
    inputs: Columns = {
        column.name: np.array([record[column.name] for record in records], dtype=np.float64)  # None is NaN
        if column.kind == "number"
        else np.array([str(record[column.name] or "") for record in records])
        for column in schema().columns
        if column.kind != "date"  # later rows have later dates: that is no drift
    }
    return inputs | {"prediction": value, "width": high - low}


def columns_of(row: LoggedPrediction) -> list[dict[str, float | str]]:
    """Return the columns of each row of a logged request."""
    watched = {column.name for column in schema().columns if column.kind != "date"}
    return [
        {name: value for name, value in record_in(item).items() if name in watched and value is not None}
        | {"prediction": answer["value"], "width": answer["interval"]["high"] - answer["interval"]["low"]}
        for item, answer in zip(json.loads(row.request)["items"], _predictions(row.response), strict=True)
    ]


def columns_with(_bundle: Path) -> RowColumns:
    """Return what reads the log: rows are described by the request alone."""
    return columns_of


def measure(row: LoggedPrediction, index: int, truth: Truth) -> Mapping[str, float]:
    """Return how far a prediction was from what came true."""
    interval = _predictions(row.response)[index]["interval"]
    return {
        "absolute_error": loss(row, index, truth),
        "coverage": float(interval["low"] <= truth.value <= interval["high"]),
    }


def loss(row: LoggedPrediction, index: int, truth: Truth) -> float:
    """Return the absolute error: two answers differ by at most their distance, whatever came true."""
    return abs(float(_predictions(row.response)[index]["value"]) - truth.value)


def about(row: LoggedPrediction, index: int) -> str:
    """Return what the row is known by: all that was said of it."""
    return key_of(record_in(json.loads(row.request)["items"][index]))


def doubt(row: LoggedPrediction, index: int, truth: Truth) -> str | None:
    """Doubt a truth that lies `DOUBTED` widths or more beyond the interval."""
    interval = _predictions(row.response)[index]["interval"]
    room = DOUBTED * (interval["high"] - interval["low"])
    within = interval["low"] - room <= truth.value <= interval["high"] + room
    return None if within else "far outside of the interval"


@lru_cache(maxsize=1)  # feedback comes prediction by prediction
def _predictions(response: str) -> list[dict[str, Any]]:
    predictions: list[dict[str, Any]] = json.loads(response)["predictions"]
    return predictions


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=columns_with,
    measures={
        "absolute_error": Measure("absolute error", "mean_absolute_error", "lower"),
        "coverage": Measure("truths within the interval", "interval_coverage", "higher"),
    },
    measure=measure,
    loss=loss,
    loss_label="absolute error",
    about=about,
    doubt=doubt,
)
