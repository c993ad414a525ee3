"""One small training on the generated sample, for every test that needs a model."""

from pathlib import Path

import pytest
from rich.console import Console

from housing.config import TrainConfig
from housing.models.predictor import Predictor
from housing.models.storage import load
from housing.train import Trained, describe, learn, write


@pytest.fixture(scope="session")
def train_config() -> TrainConfig:
    return TrainConfig(data="sample", tracking_uri="", folds=2, threads=1)


@pytest.fixture(scope="session")
def trained(train_config: TrainConfig) -> Trained:
    return learn(train_config, Console(quiet=True))


@pytest.fixture(scope="session")
def bundle(train_config: TrainConfig, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    write(folder, trained.predictor, describe(train_config, trained))
    return folder


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return load(bundle)
