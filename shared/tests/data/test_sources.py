"""The choice between the sample and public data, and the line that announces it."""

import hashlib
from pathlib import Path

import pytest

from portfolio_shared.data import sources
from portfolio_shared.data.download import DownloadError, RemoteFile
from portfolio_shared.data.sources import resolve_source

DIGEST = hashlib.sha256(b"public").hexdigest()
REMOTE = RemoteFile("set/file.txt", ("https://data.example/file.txt",), (DIGEST,))


class Network:
    """Stands in for the network; counts what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = False
        self.failure: Exception | None = None
        self.probes = 0
        self.fetches = 0
        self.fetch_really = sources.fetch
        monkeypatch.setattr(sources, "reachable", self.reachable)
        monkeypatch.setattr(sources, "fetch", self.fetch)

    def reachable(self, urls: tuple[str, ...], *, timeout: float) -> bool:
        assert urls == REMOTE.urls
        self.probes += 1
        return self.answers

    def fetch(self, file: RemoteFile, *, directory: Path) -> Path:
        if (directory / file.path).exists():
            return self.fetch_really(file, directory=directory)
        self.fetches += 1
        if self.failure:
            raise self.failure
        return fill_cache(directory)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def fill_cache(folder: Path, content: str = "public") -> Path:
    path = folder / REMOTE.path
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


def test_sample_asks_nobody(network: Network, tmp_path: Path) -> None:
    fill_cache(tmp_path)
    source = resolve_source("sample", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("sample", None)
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize("setting", ["auto", "full"])
def test_a_cached_file_is_used_without_a_probe(
    network: Network, tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    cached = fill_cache(tmp_path)
    source = resolve_source(setting, REMOTE)
    assert (source.kind, source.path) == ("full", cached)
    assert "from the cache" in source.reason
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize("setting", ["auto", "full"])
def test_a_cached_file_that_is_another_stops_the_work(network: Network, tmp_path: Path, setting: str) -> None:
    fill_cache(tmp_path, "damaged")
    with pytest.raises(DownloadError, match="not the expected file"):
        resolve_source(setting, REMOTE, directory=tmp_path)


def test_full_downloads_without_a_probe_or_fails(network: Network, tmp_path: Path) -> None:
    network.failure = DownloadError("away")
    with pytest.raises(DownloadError, match="away"):
        resolve_source("full", REMOTE, directory=tmp_path)
    network.failure = None
    source = resolve_source("full", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("full", tmp_path / REMOTE.path)
    assert "downloaded to" in source.reason
    assert (network.probes, network.fetches) == (0, 2)


def test_auto_downloads_if_the_host_answers(network: Network, tmp_path: Path) -> None:
    network.answers = True
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path, network.fetches) == ("full", tmp_path / REMOTE.path, 1)


def test_auto_falls_to_the_sample_if_no_host_answers_and_says_so(network: Network, tmp_path: Path) -> None:
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path, network.fetches) == ("sample", None, 0)
    assert source.reason.endswith("no host offers it within 3 s")


def test_auto_announces_a_download_that_fails_in_one_line_and_lets_other_errors_through(
    network: Network, tmp_path: Path
) -> None:
    network.answers, network.failure = True, DownloadError("first line\n  second line")
    source = resolve_source("auto", REMOTE, directory=tmp_path)
    assert (source.kind, source.path) == ("sample", None)
    assert source.reason.endswith("because the download failed: first line second line")
    network.failure = TypeError("a defect")
    with pytest.raises(TypeError, match="a defect"):
        resolve_source("auto", REMOTE, directory=tmp_path)


def test_a_path_is_used_as_it_is(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "sample"
    mine.write_text("x")
    for setting, path in {
        str(mine): mine,
        str(tmp_path): tmp_path,
        "~/sample": mine,
        "./sample": Path("sample"),
    }.items():
        source = resolve_source(setting, REMOTE, directory=tmp_path)
        assert (source.kind, source.path) == ("path", path)
    assert resolve_source("sample", REMOTE).kind == "sample"
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize(
    ("setting", "hint"), [("smaple", "; did you mean 'sample'[?]"), ("", ""), ("no/such/file.csv", "")]
)
def test_an_unknown_word_lists_the_known_ones(network: Network, tmp_path: Path, setting: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"'{setting}' is none of auto, sample, full and no existing path{hint}$"):
        resolve_source(setting, REMOTE, directory=tmp_path)


@pytest.mark.parametrize("setting", ["auto", "full", "sample"])
def test_every_reason_is_one_line_that_names_the_kind(network: Network, tmp_path: Path, setting: str) -> None:
    source = resolve_source(setting, REMOTE, directory=tmp_path)
    assert "\n" not in source.reason
    assert source.reason.startswith(f"Data: {source.kind},")
