"""The choice between generated and public data, and the line that announces it."""

from pathlib import Path
from typing import Any

import pytest

from portfolio_shared.data import sources
from portfolio_shared.data.download import DownloadError, HostUnreachable, RemoteFile
from portfolio_shared.data.sources import resolve_source

REMOTE = RemoteFile("set/file.txt", ("https://data.example/file.txt",), ("0" * 64,))


class Network:
    """Stands in for the network; counts what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = False
        self.failure: DownloadError | None = None
        self.probes = 0
        self.fetches = 0
        monkeypatch.setattr(sources, "reachable", self.reachable)
        monkeypatch.setattr(sources, "fetch", self.fetch)

    def reachable(self, urls: tuple[str, ...], *, timeout: float) -> bool:
        assert urls == REMOTE.urls
        self.probes += 1
        return self.answers

    def fetch(self, file: RemoteFile, *, directory: Path) -> Path:
        path = directory / file.path
        if not path.exists():
            self.fetches += 1
            if self.failure:
                raise self.failure
            path.parent.mkdir(parents=True)
            path.write_text("public")
        return path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def fill_cache(folder: Path) -> Path:
    path = folder / REMOTE.path
    path.parent.mkdir(parents=True)
    path.write_text("cached")
    return path


def test_sample_asks_nobody(network: Network, tmp_path: Path) -> None:
    fill_cache(tmp_path)
    source = resolve_source("sample", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("sample", None)
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize("setting", ["auto", "full"])
def test_a_cached_file_is_used_without_a_probe(network: Network, tmp_path: Path, setting: str) -> None:
    cached = fill_cache(tmp_path)
    source = resolve_source(setting, REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("full", cached)
    assert "from the cache" in source.reason
    assert (network.probes, network.fetches) == (0, 0)


def test_full_downloads_without_a_probe(network: Network, tmp_path: Path) -> None:
    source = resolve_source("full", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("full", tmp_path / REMOTE.path)
    assert "downloaded to" in source.reason
    assert (network.probes, network.fetches) == (0, 1)


def test_full_fails_rather_than_work_on_other_data(network: Network, tmp_path: Path) -> None:
    network.failure = HostUnreachable("away")
    with pytest.raises(HostUnreachable, match="away"):
        resolve_source("full", REMOTE, directory=tmp_path)


def test_auto_downloads_if_the_host_answers(network: Network, tmp_path: Path) -> None:
    network.answers = True
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path, network.fetches) == ("full", tmp_path / REMOTE.path, 1)


def test_auto_falls_to_the_sample_if_no_host_answers_and_says_so(network: Network, tmp_path: Path) -> None:
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path, network.fetches) == ("sample", None, 0)
    assert "no host offers it within 3 s" in source.reason


def test_auto_announces_a_download_that_fails_in_one_line(network: Network, tmp_path: Path) -> None:
    network.answers, network.failure = True, DownloadError("first line\n  second line")
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("sample", None)
    assert source.reason.endswith("because the download failed: first line second line")


def test_auto_lets_other_errors_through(network: Network, tmp_path: Path) -> None:
    network.answers = True

    def broken(*_: Any, **__: Any) -> Path:
        raise TypeError("a defect")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "fetch", broken)
        with pytest.raises(TypeError, match="a defect"):
            resolve_source("auto", REMOTE, directory=tmp_path)


def test_a_path_is_used_as_it_is(network: Network, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("x")
    for path in (mine, tmp_path):
        source = resolve_source(str(path), REMOTE, directory=tmp_path)
        assert (source.kind, source.path) == ("path", path)
    assert (network.probes, network.fetches) == (0, 0)


def test_a_file_named_like_a_word_needs_a_path(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample").write_text("x")
    assert resolve_source("sample", REMOTE).kind == "sample"
    assert resolve_source("./sample", REMOTE).kind == "path"


def test_the_home_folder_may_be_abbreviated(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.csv").write_text("x")
    assert resolve_source("~/mine.csv", REMOTE).path == tmp_path / "mine.csv"


@pytest.mark.parametrize("setting", ["smaple", "", "no/such/file.csv"])
def test_an_unknown_word_lists_the_known_ones(network: Network, tmp_path: Path, setting: str) -> None:
    with pytest.raises(ValueError, match="is none of auto, sample, full and no existing path") as caught:
        resolve_source(setting, REMOTE, directory=tmp_path)
    assert repr(setting) in str(caught.value)


def test_a_slip_of_the_pen_is_recognised(network: Network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'sample'"):
        resolve_source("smaple", REMOTE, directory=tmp_path)


def test_the_cache_is_the_data_directory(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    cached = fill_cache(tmp_path)
    assert resolve_source("auto", REMOTE).path == cached


@pytest.mark.parametrize("setting", ["auto", "full", "sample"])
def test_every_reason_is_one_line_that_names_the_kind(network: Network, tmp_path: Path, setting: str) -> None:
    source = resolve_source(setting, REMOTE, directory=tmp_path)
    assert "\n" not in source.reason
    assert source.reason.startswith(f"Data: {source.kind},")
