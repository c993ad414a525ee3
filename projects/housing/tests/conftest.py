"""The small model of the repository's tests, for the tests of its parts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import SmallModel

from housing.config import TrainConfig
from housing.models.predictor import Predictor
from housing.train import Trained


@pytest.fixture(scope="session")
def small(small_model: Callable[[str], SmallModel]) -> SmallModel:
    return small_model("housing")


@pytest.fixture(scope="session")
def train_config(small: SmallModel) -> TrainConfig:
    return small.config


@pytest.fixture(scope="session")
def trained(small: SmallModel) -> Trained:
    return small.trained


@pytest.fixture(scope="session")
def bundle(small: SmallModel) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    return small.bundle


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)
