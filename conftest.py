"""Fixtures that every package's tests share: the real data, a browser, a running MLflow server."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """Folder of the public data sets, or a skip that says how to provide one."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", ROOT / ".data"))
    if not (folder / "ames" / "AmesHousing.txt").is_file():
        pytest.skip(f"no public data in {folder}: set PORTFOLIO_DATA_DIR, or let `make data` download it")
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium or Chrome, or a skip that says how to install one."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on PATH: install one (Debian: apt-get install chromium) to run the browser tests")
