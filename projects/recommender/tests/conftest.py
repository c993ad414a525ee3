"""A slice of the sample that ships, read once, and the small model that learned from it, for the tests of its parts."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import SmallModel, run_file

from recommender.config import AlsSettings, EaseSettings, ModelSettings, TrainConfig
from recommender.data.load import Dataset, load
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor
from recommender.train import Trained


@pytest.fixture(scope="session")
def write_slice() -> Callable[[Path, int], Path]:
    """Return a function: (folder, n) -> the folder, with the ratings of the n most active people of the sample."""
    own = run_file(Path(__file__).with_name("small_model.py"), "small_model_of_recommender")
    write: Callable[[Path, int], Path] = own.write_slice
    return write


@pytest.fixture(scope="session")
def sample(write_slice: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """300 people of the sample that ships, those with most ratings."""
    return load(str(write_slice(tmp_path_factory.mktemp("sample") / "active", 300)))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: folder of a data set -> folder of its tables, as `recommender etl` writes them."""
    from recommender.config import EtlConfig
    from recommender.data.etl.job import etl

    def store(source: Path) -> Path:
        output = tmp_path_factory.mktemp("etl") / "stored"
        etl(EtlConfig(source=str(source), output=output, memory_limit="500MB"))
        return output

    return store


@pytest.fixture(scope="session")
def stored(
    store: Callable[[Path], Path], write_slice: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same people as `sample`, as tables."""
    return store(write_slice(tmp_path_factory.mktemp("stored") / "active", 300))


@pytest.fixture(scope="session")
def latest_small() -> Dataset:
    """MovieLens latest-small, or a skip that says how to provide it."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", Path(__file__).parents[3] / ".data")) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip(f"no MovieLens in {folder}: set PORTFOLIO_DATA_DIR, or let `make data` download it")
    return load(str(folder))


@pytest.fixture(scope="session")
def learned(small_model: Callable[[str], SmallModel]) -> SmallModel:
    return small_model("recommender")


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
def histories(trained: Trained) -> list[list[Seen]]:
    """Return what users of the test saw before it, oldest first, with their stars."""
    task = trained.evaluation.task
    films = [film.id for film in task.catalogue.films]
    return [
        [Seen(films[item], float(stars)) for item, stars in zip(*task.history(user), strict=True)]
        for user in task.users[:30].tolist()
    ]


QUICK = ModelSettings(
    ease=EaseSettings(rank=16, min_raters=2, penalty=20.0), als=AlsSettings(n_factors=4, iterations=2)
)


@pytest.fixture
def quick(write_slice: Callable[[Path, int], Path], tmp_path: Path) -> TrainConfig:
    """A second of training: 80 people, few factors, as if a search had found them."""
    folder, tuned = write_slice(tmp_path / "few", 80), tmp_path / "tuned.json"
    tuned.write_text(json.dumps({"time": {"settings": QUICK.model_dump(mode="json")}}), encoding="utf-8")
    return TrainConfig(data=str(folder), tuned=tuned, tracking_uri="", output=tmp_path / "bundle")
