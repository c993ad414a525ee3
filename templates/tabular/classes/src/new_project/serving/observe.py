"""What is watched of rows: the truth that feedback brings, and the columns that are compared with the training."""

import json
import math
import re
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
from new_project.models.predictor import LEAST, Predictor
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import Columns, Measure, RowColumns, Watch
from portfolio_shared.serving.schemas import Strict

DOUBTED = 0.02
"""Probability of a class, below which it is doubted that the row is one."""


ONE_OF = f"^({'|'.join(map(re.escape, schema().target.classes))})$"


class Truth(Strict):
    """What the target turned out to be."""

    value: str = Field(pattern=ONE_OF, description="The class that the row was found to be of")


def input_schema() -> dict[str, Any]:
    """Return what a row may have, as JSON Schema."""
    return Row.model_json_schema()


def reference(predictor: Predictor, split: Split) -> Columns:
    """Return the columns of the test rows, which the model has not learned from, and its answers to them."""
    records = split.test.records
    found = predictor.probabilities(records)
    inputs: Columns = {
        column.name: np.array([record[column.name] for record in records], dtype=np.float64)  # None is NaN
        if column.kind == "number"
        else np.array([str(record[column.name] or "") for record in records])
        for column in schema().columns
        if column.kind != "date"  # later rows have later dates: that is no drift
    }
    names = np.array(schema().target.classes)
    return inputs | {"prediction": names[found.argmax(axis=1)], "probability": found.max(axis=1)}


def columns_of(row: LoggedPrediction) -> list[dict[str, float | str]]:
    """Return the columns of each row of a logged request."""
    watched = {column.name for column in schema().columns if column.kind != "date"}
    return [
        {name: value for name, value in record_in(item).items() if name in watched and value is not None}
        | {"prediction": answer["value"], "probability": answer["probability"]}
        for item, answer in zip(json.loads(row.request)["items"], _predictions(row.response), strict=True)
    ]


def columns_with(_bundle: Path) -> RowColumns:
    """Return what reads the log: rows are described by the request alone."""
    return columns_of


def measure(row: LoggedPrediction, index: int, truth: Truth) -> Mapping[str, float]:
    """Return how right an answer was."""
    answer = _predictions(row.response)[index]
    return {
        "log_loss": loss(row, index, truth),
        "accuracy": float(answer["value"] == truth.value),
        "coverage": float(truth.value in answer["classes"]),
    }


def loss(row: LoggedPrediction, index: int, truth: Truth) -> float:
    """Return the log loss, with no class less probable than `LEAST`: so it is bounded, whatever came true."""
    return -math.log(max(_predictions(row.response)[index]["probabilities"][truth.value], LEAST))


def about(row: LoggedPrediction, index: int) -> str:
    """Return what the row is known by: all that was said of it."""
    return key_of(record_in(json.loads(row.request)["items"][index]))


def doubt(row: LoggedPrediction, index: int, truth: Truth) -> str | None:
    """Doubt a class that the answer held all but impossible."""
    probability = _predictions(row.response)[index]["probabilities"][truth.value]
    return None if probability >= DOUBTED else "all but impossible by the answer"


@lru_cache(maxsize=1)  # feedback comes prediction by prediction
def _predictions(response: str) -> list[dict[str, Any]]:
    predictions: list[dict[str, Any]] = json.loads(response)["predictions"]
    return predictions


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=columns_with,
    measures={
        "log_loss": Measure("log loss", "log_loss_error", "lower"),
        "accuracy": Measure("right answers", "accuracy_score", "higher"),
        "coverage": Measure("truths within the set", "set_coverage", "higher"),
    },
    measure=measure,
    loss=loss,
    loss_label="log loss",
    about=about,
    doubt=doubt,
)
