"""From a setting to a folder: cache, archive, path, and the refusals."""

import zipfile
from pathlib import Path

import pytest

from portfolio_shared.data.checks import DataError
from recommender.data.source import DATASETS, resolve_dataset, unpack


def archive(path: Path, names: tuple[str, ...] = ("ml-x/ratings.csv", "ml-x/movies.csv")) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(name, f"content of {name}")
    return path


def test_an_unpacked_folder_in_the_cache_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ml-1m").mkdir()
    for setting in ("auto", "full"):
        source = resolve_dataset(setting, dataset="1m", directory=tmp_path)
        assert (source.kind, source.path) == ("full", tmp_path / "ml-1m")


def test_an_archive_in_the_cache_is_unpacked(tmp_path: Path) -> None:
    archive(tmp_path / "ml-latest-small.zip")
    source = resolve_dataset("full", directory=tmp_path)
    assert (source.kind, source.path) == ("full", tmp_path / "ml-latest-small")
    assert (tmp_path / "ml-latest-small" / "ratings.csv").read_text() == "content of ml-x/ratings.csv"


def test_sample_and_paths(tmp_path: Path) -> None:
    assert resolve_dataset("sample", directory=tmp_path).path is None
    source = resolve_dataset(str(tmp_path), directory=tmp_path)
    assert (source.kind, source.path) == ("path", tmp_path)
    packed = archive(tmp_path / "mine.zip")
    source = resolve_dataset(str(packed), directory=tmp_path / "cache")
    assert source.kind == "path"
    assert source.path is not None
    assert sorted(file.name for file in source.path.iterdir()) == ["movies.csv", "ratings.csv"]


def test_unknown_data_sets_and_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'2m'; there are latest-small, 100k, 1m, 25m, 32m"):
        resolve_dataset("full", dataset="2m", directory=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'sample'"):
        resolve_dataset("smaple", directory=tmp_path)


def test_members_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder = unpack(archive(tmp_path / "evil.zip", ("../../outside.txt",)), tmp_path / "in" / "data")
    assert [file.name for file in folder.iterdir()] == ["outside.txt"]
    assert not (tmp_path / "outside.txt").exists()


def test_a_broken_archive_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(archive(tmp_path / "whole.zip").read_bytes()[:40])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(broken, tmp_path / "data")
    with pytest.raises(DataError, match="holds no files"):
        unpack(archive(tmp_path / "empty.zip", ()), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_archives_are_recognised_by_size_and_hash() -> None:
    for remote in DATASETS.values():
        assert remote.size
        assert all(url.startswith("https://files.grouplens.org/") for url in remote.urls)
