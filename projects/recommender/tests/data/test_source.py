"""From a setting to a folder: cache, archive, path, and the refusals."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from portfolio_shared.data.download import DownloadError, file_sha256
from recommender.data.source import DATASETS, resolve_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))


def archive(path: Path, names: tuple[str, ...] = ("ml-x/ratings.csv", "ml-x/movies.csv")) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(name, f"content of {name}")
    return path


def test_an_unpacked_folder_in_the_cache_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    for setting in ("auto", "full"):
        source = resolve_dataset(setting, dataset="1m")
        assert (source.kind, source.path) == ("full", tmp_path / "ml-1m")


def test_an_archive_in_the_cache_is_checked_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(tmp_path / "ml-latest-small.zip")
    with pytest.raises(DownloadError, match=f"not the expected file.*delete {packed} to download it again"):
        resolve_dataset("full", dataset="latest-small")
    known = replace(DATASETS["latest-small"], sha256=(file_sha256(packed),))
    monkeypatch.setitem(DATASETS, "latest-small", known)
    source = resolve_dataset("full", dataset="latest-small")
    assert (source.kind, source.path) == ("full", tmp_path / "ml-latest-small")
    assert (tmp_path / "ml-latest-small" / "ratings.csv").read_text() == "content of ml-x/ratings.csv"


def test_sample_and_paths(tmp_path: Path) -> None:
    assert resolve_dataset("sample", dataset="1m").path is None
    source = resolve_dataset(str(tmp_path), dataset="1m")
    assert (source.kind, source.path) == ("path", tmp_path)
    packed = archive(tmp_path / "mine.zip")
    source = resolve_dataset(str(packed), dataset="1m")
    assert source.kind == "path"
    assert source.path is not None
    assert source.path.name == "mine"
    assert sorted(file.name for file in source.path.iterdir()) == ["movies.csv", "ratings.csv"]
    archive(packed, ("ml-y/other.csv",))  # another archive of the same name is another folder
    assert resolve_dataset(str(packed), dataset="1m").path != source.path


def test_archives_are_recognised_by_size_and_hash() -> None:
    for remote in DATASETS.values():
        assert remote.size
        assert all(url.startswith("https://files.grouplens.org/") for url in remote.urls)
