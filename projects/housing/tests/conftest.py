"""One small training on the generated sample, for every test that needs a model."""

from pathlib import Path

import pytest
from rich.console import Console

from housing.config import TrainConfig
from housing.models.predictor import Predictor
from housing.train import PROJECT, Trained, learn
from portfolio_shared.training import write


@pytest.fixture(scope="session")
def train_config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    output = tmp_path_factory.mktemp("model") / "bundle"
    return TrainConfig(data="sample", tracking_uri="", folds=2, threads=1, output=output)


@pytest.fixture(scope="session")
def trained(train_config: TrainConfig) -> Trained:
    return learn(train_config, Console(quiet=True))


@pytest.fixture(scope="session")
def bundle(train_config: TrainConfig, trained: Trained) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    write(PROJECT, train_config, trained, Console(quiet=True))
    return train_config.output


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)
