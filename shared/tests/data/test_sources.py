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

    def __init__(self, monkeypatch):
        self.answers = False
        self.failure: Exception | None = None
        self.probes = 0
        self.fetches = 0
        self.fetch_really = sources.fetch
        monkeypatch.setattr(sources, "reachable", self.reachable)
        monkeypatch.setattr(sources, "fetch", self.fetch)

    def reachable(self, urls, *, timeout):
        assert urls == REMOTE.urls
        self.probes += 1
        return self.answers

    def fetch(self, file, *, directory):
        if (directory / file.path).exists():
            return self.fetch_really(file, directory=directory)
        self.fetches += 1
        if self.failure:
            raise self.failure
        return fill_cache(directory)


@pytest.fixture
def network(monkeypatch):
    return Network(monkeypatch)


def fill_cache(folder, content="public"):
    path = folder / REMOTE.path
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


def resolve(setting, folder=None):
    source = resolve_source(setting, REMOTE, directory=folder)
    assert "\n" not in source.reason
    assert source.reason.startswith(f"Data: {source.path if source.kind == 'path' else source.kind},")
    return source


def test_sample_asks_nobody(network, tmp_path):
    fill_cache(tmp_path)
    source = resolve("sample", tmp_path)
    assert (source.kind, source.path) == ("sample", None)
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize("setting", ["auto", "full"])
def test_a_cached_file_is_used_without_a_probe_and_another_stops_the_work(network, tmp_path, setting, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))
    cached = fill_cache(tmp_path)
    source = resolve(setting)
    assert (source.kind, source.path) == ("full", cached)
    assert "from the cache" in source.reason
    assert (network.probes, network.fetches) == (0, 0)
    cached.write_text("damaged")
    with pytest.raises(DownloadError, match="not the expected file"):
        resolve(setting)


def test_full_downloads_without_a_probe_or_fails(network, tmp_path):
    network.failure = DownloadError("away")
    with pytest.raises(DownloadError, match="away"):
        resolve("full", tmp_path)
    network.failure = None
    source = resolve("full", tmp_path)
    assert (source.kind, source.path) == ("full", tmp_path / REMOTE.path)
    assert "downloaded to" in source.reason
    assert (network.probes, network.fetches) == (0, 2)


@pytest.mark.parametrize(
    ("answers", "failure", "kind", "reason"),
    [
        (True, None, "full", "file.txt"),
        (False, None, "sample", "no host offers it within 3 s"),
        (True, DownloadError("first\n  second"), "sample", "because the download failed: first second"),
    ],
)
def test_auto_downloads_if_the_host_answers_and_says_why_it_does_not(
    network, tmp_path, answers, failure, kind, *, reason
):
    network.answers, network.failure = answers, failure
    source = resolve("auto", tmp_path)
    assert (source.kind, network.probes, network.fetches) == (kind, 1, int(answers))
    assert source.reason.endswith(reason)


def test_a_defect_is_no_reason_for_the_sample(network, tmp_path):
    network.answers, network.failure = True, TypeError("a defect")
    with pytest.raises(TypeError, match="a defect"):
        resolve("auto", tmp_path)


def test_a_path_is_used_as_it_is(network, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "sample"
    mine.write_text("x")
    paths = {str(mine): mine, str(tmp_path): tmp_path, "~/sample": mine, "./sample": Path("sample")}
    assert {setting: resolve(setting).path for setting in paths} == paths
    assert resolve("sample").kind == "sample"
    assert (network.probes, network.fetches) == (0, 0)


@pytest.mark.parametrize(
    ("setting", "hint"), [("smaple", "; did you mean 'sample'[?]"), ("", ""), ("no/such/file.csv", "")]
)
def test_an_unknown_word_lists_the_valid_ones(network, tmp_path, setting, hint):
    with pytest.raises(ValueError, match=f"'{setting}' is none of auto, sample, full and no existing path{hint}$"):
        resolve(setting, tmp_path)
