"""The sample that ships and the public photographs, each read once, and the small model of the repository's tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from small_models import SmallModel

from image_classifier.config import TrainConfig
from image_classifier.data.load import REDUCED, SAMPLE, Dataset, load
from image_classifier.models.predictor import Predictor
from image_classifier.train import PROJECT, Trained, learn
from portfolio_shared.training import write

PER_CLASS, SIDE = 40, 96


@pytest.fixture(scope="session")
def sample() -> Dataset:
    return load("sample")


@pytest.fixture(scope="session")
def flowers(real_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """All public photographs, or a skip that says how to provide them."""
    archive = real_data_dir / REDUCED
    if not archive.is_file():
        pytest.skip(f"no {archive}: set PORTFOLIO_DATA_DIR to a folder that has it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path_factory.mktemp("cache")))
        return load(str(archive))


@pytest.fixture(scope="session")
def learned(small_model: Callable[[str], SmallModel]) -> SmallModel:
    return small_model("image-classifier")


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


@pytest.fixture(scope="session")
def pets_config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Somebody's own pictures: a folder with other classes, too few for the usual coverage.

    The small model is not asked for its settings: a test that needs no model would train it.
    """
    place = tmp_path_factory.mktemp("brought")
    for theirs, ours in {"roses": "cat", "sunflowers": "dog"}.items():
        (place / "pets" / ours).mkdir(parents=True)
        for photo in sorted((SAMPLE.path / theirs).iterdir())[:PER_CLASS]:
            shutil.copy(photo, place / "pets" / ours)
    few = {"recipe": "quick", "crop": SIDE, "threads": 1, "epochs": 1, "coverage": 0.8}
    return TrainConfig(data=str(place / "pets"), tracking_uri="", output=place / "bundle", work=place / "work", **few)


@pytest.fixture(scope="session")
def pets(pets_config: TrainConfig) -> Trained:
    """The training on somebody's own pictures; no line of code knows their classes."""
    return learn(pets_config, Console(quiet=True))


@pytest.fixture(scope="session")
def pets_bundle(pets_config: TrainConfig, pets: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets") / "bundle"
    write(PROJECT, pets_config.model_copy(update={"output": folder}), pets, Console(quiet=True))
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread: the same sums in the same order, wherever a test runs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
