"""What is watched of houses: the truth that feedback brings, and the columns that are compared with the training.

Two things would make every window look drifted. A model knows the houses that it learned from, so the intervals of
these are narrower: the reference has price and width of houses that were held out, and of no others. And a house of ten
fields is priced lower and with wider intervals than the same house of 79: `comparable` prices the reference with the
fields that the window's callers give. A model that was refitted knows all houses: price and width are not compared.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from housing.config import MODEL_NAME
from housing.data.columns import Record, columns
from housing.data.house import House, house_key
from housing.data.values import code_values
from housing.models.predictor import OPEN_FROM, SPARSE_FROM, Floats, Predictor
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import Columns, Measure, RowColumns, Watch
from portfolio_shared.serving.schemas import Strict

DOUBTED = 1.5
"""Factor beyond the interval from which a price paid is doubted: few in a boom of 40 %, and nearly all that are said to
be three times as high or a third.
"""


class Truth(Strict):
    """What a house was sold for; the bounds refuse 185 for 185.000, and cents."""

    price: float = Field(ge=1_000, le=10_000_000, description="Price paid, in dollars")


def reference(predictor: Predictor, learned_from: Sequence[Record], held_out: Sequence[Record]) -> Columns:
    """Return the columns of all houses; price and width of those that were held out, none of a refitted model."""
    records = [*learned_from, *held_out]
    fields: Columns = {
        name: np.array([record.get(name) for record in records], dtype=np.float64)  # None is NaN
        if column.is_numeric
        else np.array([record.get(name) or "" for record in records])
        for name, column in columns().items()
    }
    answers = {name: np.full(len(records), np.nan) for name in ("price", "width")}
    if predictor.held_out is None:  # it was not refitted
        for name, answer in price_and_width(*predictor.price_and_interval(held_out)).items():
            answers[name][len(learned_from) :] = answer
    return fields | answers


def price_and_width(price: Any, low: Any, high: Any) -> dict[str, Any]:
    """Return the columns of an answer: dollars, and the interval's width as a share of the price."""
    return {"price": price, "width": (high - low) / price}


def comparable(bundle: Path, reference: Columns, window: Columns) -> Columns:
    """Return the reference with prices and widths as if its houses had been asked for as those of the window were.

    Each house leaves out what a house of the window leaves out, which is drawn by chance, always the same.
    """
    priced = np.flatnonzero(~np.isnan(_numbers("price", reference)))
    if not len(priced):
        return reference
    asked_as = np.random.default_rng(0).integers(len(window["price"]), size=len(priced))
    table = {
        name: np.where(np.isnan(_numbers(name, window)[asked_as]), np.nan, _numbers(name, reference)[priced])
        for name in columns()
    }
    answers = price_and_width(*Predictor.load(bundle).predict_table(table)[:3])
    result = dict(reference)
    for name, answer in answers.items():
        result[name] = np.full(len(reference[name]), np.nan)
        result[name][priced] = answer
    return result


def _numbers(name: str, houses: Columns) -> Floats:
    """Return a column as the model's numbers; NaN is what was not given."""
    cells: NDArray[Any] = houses[name]
    if cells.dtype.kind == "f":
        return cells
    texts, places = np.unique(cells, return_inverse=True)
    return np.array([code_values()[name].get(text, np.nan) for text in texts.tolist()])[places]


def columns_of(row: LoggedPrediction) -> list[dict[str, float | str]]:
    """Return the columns of each house of a logged request, with what the service put right."""
    houses = [House.model_validate(house) for house in _houses(row.request)]
    return [
        {
            name: value if isinstance(value, str) else float(value)
            for name, value in house.model_dump(exclude_none=True).items()
        }
        | price_and_width(answer["price"], answer["interval"]["low"], answer["interval"]["high"])
        for house, answer in zip(houses, json.loads(row.response)["predictions"], strict=True)
    ]


def columns_with(_bundle: Path) -> RowColumns:
    """Return what reads the log: houses are described by the request alone."""
    return columns_of


def measure(row: LoggedPrediction, index: int, truth: Truth) -> Mapping[str, float]:
    """Return how far a price was from the one paid, apart by how many fields were left open: the error grows with them.

    The test split was measured with next to none and with all of them left open, so what lies between is not compared.
    """
    answer = _predictions(row.response)[index]
    error = abs(answer["price"] - truth.price)
    left_open = len(answer["filled"])
    suffix = "" if left_open < SPARSE_FROM else "_sparse" if left_open >= OPEN_FROM else "_partial"
    return {
        f"absolute_error{suffix}": error,
        f"relative_error{suffix}": error / truth.price,
        "coverage": float(answer["interval"]["low"] <= truth.price <= answer["interval"]["high"]),
    }


def loss(row: LoggedPrediction, index: int, truth: Truth) -> float:
    """Return the absolute log error: two answers differ by at most the log of their ratio, whatever was paid."""
    return abs(math.log(_predictions(row.response)[index]["price"] / truth.price))


def about(row: LoggedPrediction, index: int) -> str:
    """Return what the house is known by, so that a field more or less does not make it another one."""
    return house_key(House.model_validate(_houses(row.request)[index]).model_dump())


def doubt(row: LoggedPrediction, index: int, truth: Truth) -> str | None:
    """Doubt a price by `DOUBTED` times above or below the interval; a boom is no reason to doubt."""
    interval = _predictions(row.response)[index]["interval"]
    within = interval["low"] / DOUBTED <= truth.price <= interval["high"] * DOUBTED
    return None if within else "far outside of the interval"


@lru_cache(maxsize=1)
def _houses(request: str) -> list[dict[str, Any]]:
    houses: list[dict[str, Any]] = json.loads(request)["houses"]
    return houses


@lru_cache(maxsize=1)  # feedback comes prediction by prediction, and an answer of a thousand houses takes 60 ms to read
def _predictions(response: str) -> list[dict[str, Any]]:
    predictions: list[dict[str, Any]] = json.loads(response)["predictions"]
    return predictions


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=columns_with,
    measures={
        "absolute_error": Measure("absolute error, dollars", "mean_absolute_error", "lower"),
        "relative_error": Measure("relative error", "mean_absolute_percentage_error", "lower"),
        "absolute_error_partial": Measure("absolute error with some fields, dollars", None, "lower"),
        "relative_error_partial": Measure("relative error with some fields", None, "lower"),
        "absolute_error_sparse": Measure(
            "absolute error with few fields, dollars", "mean_absolute_error_sparse", "lower"
        ),
        "relative_error_sparse": Measure(
            "relative error with few fields", "mean_absolute_percentage_error_sparse", "lower"
        ),
        "coverage": Measure("prices paid within the interval", "interval_coverage", "higher"),
    },
    measure=measure,
    loss=loss,
    loss_label="absolute log error",
    about=about,
    doubt=doubt,
    comparable=comparable,
)
