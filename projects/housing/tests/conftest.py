"""The sales that ship, slices of them, and the small model of the repository's tests, for the tests of the parts."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_models import SmallModel

from housing.config import TrainConfig
from housing.data.columns import Record
from housing.data.house import EXAMPLE
from housing.data.load import SAMPLE, Dataset, Sales, load, read_file
from housing.models.predictor import Predictor
from housing.serving.observe import Truth
from housing.train import Trained
from portfolio_shared.operations.lessons import Lesson
from portfolio_shared.operations.store import LoggedPrediction


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """All sales that ship, read once."""
    return load("sample")


@pytest.fixture(scope="session")
def some_sales(dataset: Dataset) -> Callable[[int], Sales]:
    """Return a function: n -> n of the sales that ship, from all parts of the file."""
    return lambda n: dataset.sales.take(np.isin(np.arange(len(dataset.sales.frame)), spread(dataset, n)))


@pytest.fixture(scope="session")
def some_rows(dataset: Dataset) -> Callable[[int], pd.DataFrame]:
    """Return a function: n -> the rows of the file that are the same n sales, cell for cell, to be made dirty."""
    raw = read_file(SAMPLE.path)
    return lambda n: raw.iloc[spread(dataset, n)].reset_index(drop=True)


def spread(dataset: Dataset, n: int) -> list[int]:
    return np.linspace(0, len(dataset.sales.frame) - 1, n).astype(int).tolist()


@pytest.fixture(scope="session")
def lesson() -> Callable[..., Lesson]:
    """Return a function: what a client said of the second house of a request."""

    def said(house: Record, price: float, *, client: str = "") -> Lesson:
        asked = {name: value for name, value in house.items() if value is not None}
        request = json.dumps({"houses": [EXAMPLE, asked]})
        row = LoggedPrediction("id", 0.0, "housing", "1", "/v1/predictions", "", 2, 1.0, request, "{}")
        return Lesson(row, 1, Truth(price=price), client, 0.0)

    return said


@pytest.fixture(scope="session")
def learned(small_model: Callable[[str], SmallModel]) -> SmallModel:
    return small_model("housing")


@pytest.fixture(scope="session")
def train_config(learned: SmallModel) -> TrainConfig:
    return learned.config


@pytest.fixture(scope="session")
def trained(learned: SmallModel) -> Trained:
    return learned.trained


@pytest.fixture(scope="session")
def bundle(learned: SmallModel) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    return learned.bundle


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)
