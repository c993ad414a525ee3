"""The drawn flowers and the real photographs, each read once for every test that needs them."""

from pathlib import Path

import pytest

from image_classifier.data import Photos, load_photos
from image_classifier.sample import write_sample

PER_CLASS = 40


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
