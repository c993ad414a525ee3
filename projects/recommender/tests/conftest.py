"""The invented sample, written and read once for all tests."""

import os
from pathlib import Path

import pytest

from recommender.data import MovieLens, read_movielens
from recommender.sample import write_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> MovieLens:
    return read_movielens(write_sample(tmp_path_factory.mktemp("sample")))


@pytest.fixture(scope="session")
def latest_small() -> MovieLens:
    """MovieLens latest-small, or a skip that says how to provide it."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", Path(__file__).parents[3] / ".data")) / "ml-latest-small"
    if not (folder / "ratings.csv").is_file():
        pytest.skip(f"no MovieLens in {folder}: set PORTFOLIO_DATA_DIR, or let `make data` download it")
    return read_movielens(folder)
