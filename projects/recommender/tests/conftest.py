"""The invented sample, read once, and one small training on it, for every test that needs a model."""

import os
from pathlib import Path

import pytest
from rich.console import Console

from portfolio_shared.training import write
from recommender.config import TrainConfig
from recommender.data.load import Dataset, load
from recommender.models.predictor import Predictor
from recommender.train import PROJECT, Trained, learn


@pytest.fixture(scope="session")
def sample() -> Dataset:
    return load("sample")


@pytest.fixture(scope="session")
def latest_small() -> Dataset:
    """MovieLens latest-small, or a skip that says how to provide it."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", Path(__file__).parents[3] / ".data")) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip(f"no MovieLens in {folder}: set PORTFOLIO_DATA_DIR, or let `make data` download it")
    return load(str(folder))


@pytest.fixture(scope="session")
def train_config() -> TrainConfig:
    return TrainConfig(data="sample", tracking_uri="", threads=1)


@pytest.fixture(scope="session")
def trained(train_config: TrainConfig) -> Trained:
    return learn(train_config, Console(quiet=True))


@pytest.fixture(scope="session")
def bundle(train_config: TrainConfig, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    config = train_config.model_copy(update={"output": tmp_path_factory.mktemp("model") / "bundle"})
    write(PROJECT, config, trained, Console(quiet=True))
    return config.output


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)
