"""The small model of the repository's tests, for the tests of its parts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import SmallModel

from housing.config import TrainConfig
from housing.models.predictor import Predictor
from housing.train import Trained


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
