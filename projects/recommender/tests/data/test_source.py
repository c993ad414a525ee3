"""From a setting to a folder: cache, archive, path, and the refusals."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import DownloadError, file_sha256
from recommender.data.source import DATASETS, SAMPLE, folder_of, resolve_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


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
    folder = folder_of(source)
    assert (source.kind, source.path, folder.name) == ("full", packed, "ml-latest-small")
    assert (folder / "ratings.csv").read_text() == "content of ml-x/ratings.csv"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", packed.name]


def test_folders_and_archives_of_the_user(tmp_path: Path) -> None:
    source = resolve_dataset(str(tmp_path), dataset="1m")
    assert (source.kind, folder_of(source)) == ("path", tmp_path)
    packed = archive(tmp_path / "mine.zip")
    source = resolve_dataset(str(packed), dataset="1m")
    folder = folder_of(source)
    assert (source.kind, folder.name) == ("path", "mine")
    assert sorted(file.name for file in folder.iterdir()) == ["movies.csv", "ratings.csv"]
    archive(packed, ("ml-y/other.csv",))  # another archive of the same name is another folder
    assert folder_of(source) != folder


def test_the_sample_is_unpacked_below_the_working_directory(tmp_path: Path) -> None:
    source = resolve_dataset("sample", dataset="1m")
    assert (source.kind, source.path) == ("sample", SAMPLE.path)
    folder = folder_of(source)
    assert folder == Path(".state/unpacked") / SAMPLE.sha256 / "movietweetings"
    assert sorted(file.name for file in folder.iterdir()) == ["LICENSE", "movies.dat", "ratings.dat"]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_archives_are_recognized_by_size_and_hash() -> None:
    for remote in DATASETS.values():
        assert remote.size
        assert all(url.startswith("https://files.grouplens.org/") for url in remote.urls)


def test_what_is_said_of_the_sample_is_true_of_its_file() -> None:
    ratings = SAMPLE.name.split(" of ")[0]  # "49,502 ratings"
    source = (SAMPLE.path.parent / "SOURCE.md").read_text(encoding="utf-8")
    assert f"{SAMPLE.path.stat().st_size:,} bytes" in source
    assert f"{ratings} from 0 to 10" in source


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.csv.gz", "Ratings.XLSX"])
def test_one_table_is_no_data_set(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="is one file: ratings and films are two, so name the folder"):
        folder_of(resolve_dataset(str(tmp_path / name), dataset="1m"))
