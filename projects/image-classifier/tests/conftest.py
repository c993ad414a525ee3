"""The drawn flowers and the real photographs, each read once, and one small training, for all tests that need them."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from image_classifier.config import TrainConfig
from image_classifier.data.load import Photos, load_photos
from image_classifier.data.sample import write_sample
from image_classifier.models.predictor import Predictor
from image_classifier.train import Trained, describe, learn, write

PER_CLASS = 40
# Enough to be far from guessing: with fewer pictures or epochs the small network learns them by heart.
TRAINING_PER_CLASS, TRAINING_EPOCHS = 80, 10


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small sample; tests that change files copy it first."""
    return write_sample(tmp_path_factory.mktemp("sample"), per_class=PER_CLASS, size=64)


@pytest.fixture(scope="session")
def sample(sample_folder: Path) -> Photos:
    return load_photos(str(sample_folder))


@pytest.fixture(scope="session")
def flowers(real_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """The real photographs, or a skip that says how to provide them."""
    archive = real_data_dir / "flowers.tar"
    if not archive.is_file():
        pytest.skip(f"no {archive}: set PORTFOLIO_DATA_DIR to a folder that has it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path_factory.mktemp("cache")))
        return load_photos(str(archive))


@pytest.fixture(scope="session")
def train_config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """What every test that needs a model trains with: drawings, the small network, one thread."""
    place = tmp_path_factory.mktemp("training")
    data = write_sample(place / "flowers", per_class=TRAINING_PER_CLASS, size=64)
    return TrainConfig(
        data=str(data),
        tracking_uri="",
        backbone="small_cnn",
        weights="none",
        epochs=TRAINING_EPOCHS,
        threads=1,
        work=place / "work",
        output=place / "unused",
    )


@pytest.fixture(scope="session")
def trained(train_config: TrainConfig) -> Trained:
    return learn(train_config, Console(quiet=True))


@pytest.fixture(scope="session")
def bundle(train_config: TrainConfig, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the trained model; tests that change files copy it first."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    write(folder, trained, describe(train_config, trained))
    return folder


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    return Predictor.load(bundle)


@pytest.fixture(scope="session")
def pets_config(
    train_config: TrainConfig, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainConfig:
    """Somebody's own pictures: a folder with other classes, too few for the usual coverage."""
    place = tmp_path_factory.mktemp("brought")
    for theirs, ours in {"rose": "cat", "sunflower": "dog"}.items():
        shutil.copytree(sample_folder / theirs, place / "pets" / ours)
    changes = {"data": str(place / "pets"), "work": place / "work", "epochs": 1, "coverage": 0.8}
    return train_config.model_copy(update=changes)


@pytest.fixture(scope="session")
def pets(pets_config: TrainConfig) -> Trained:
    """The training on somebody's own pictures; no line of code knows their classes."""
    return learn(pets_config, Console(quiet=True))


@pytest.fixture(scope="session")
def pets_bundle(pets_config: TrainConfig, pets: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets") / "bundle"
    write(folder, pets, describe(pets_config, pets))
    return folder
