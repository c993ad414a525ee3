"""Fixtures that every package's tests share: the real data, a browser, a running MLflow server."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from portfolio_shared.tracking.server import MlflowServer, free_port, running_server

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        help="comma-separated: browser, real_data. What is named must be there: a test that would skip fails instead.",
    )


def missing(request: pytest.FixtureRequest, what: str, reason: str) -> NoReturn:
    """Skip by name, or fail where `--require` says that `what` must be there."""
    if what in request.config.getoption("--require").split(","):
        pytest.fail(f"--require={what}: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_data_dir(request: pytest.FixtureRequest) -> Path:
    """Folder of the public data sets."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", ROOT / ".data"))
    if not (folder / "ames" / "AmesHousing.txt").is_file():
        missing(request, "real_data", f"no public data in {folder}: set PORTFOLIO_DATA_DIR, or run `make data`")
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium_path(request: pytest.FixtureRequest) -> str:
    """Path of a Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    missing(request, "browser", "no Chromium on PATH: install one (Debian: apt-get install chromium)")


@pytest.fixture(scope="session")
def running_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Run an MLflow server for the whole session; its files lie beside its log."""
    with running_server(state=tmp_path_factory.mktemp("mlflow"), port=free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(running_mlflow: MlflowServer) -> str:
    """Address of a running MLflow server."""
    return running_mlflow.uri
