"""The choice between the sample and public data, and the line that announces it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from portfolio_shared.data import sources
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import DownloadError, RemoteFile
from portfolio_shared.data.sources import Sample, folder_sha256, resolve_source

DIGEST = hashlib.sha256(b"public").hexdigest()
REMOTE = RemoteFile("set/file.txt", ("https://data.example/file.txt",), (DIGEST,))
SHIPPED = Sample(Path(__file__), "a test", hashlib.sha256(Path(__file__).read_bytes()).hexdigest())


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


def resolve(setting, folder=None, sample=SHIPPED):
    source = resolve_source(setting, REMOTE, sample, directory=folder)
    assert "\n" not in source.reason
    assert source.reason.startswith(f"Data: {source.path if source.kind == 'path' else source.kind},")
    return source


def test_sample_asks_nobody(network, tmp_path):
    fill_cache(tmp_path)
    source = resolve("sample", tmp_path)
    assert (source.kind, source.path) == ("sample", SHIPPED.path)
    assert source.reason == "Data: sample, a test, which ship with the package, because the setting asks for them"
    assert (network.probes, network.fetches) == (0, 0)


def test_a_sample_that_is_all_of_the_data_is_full_and_its_host_is_not_asked(network, tmp_path):
    whole = replace(SHIPPED, whole=True)
    for setting in ("sample", "auto"):
        source = resolve(setting, tmp_path, whole)
        assert (source.kind, source.path) == ("full", SHIPPED.path)
    assert (network.probes, network.fetches) == (0, 0)
    assert resolve("full", tmp_path, whole).path == tmp_path / REMOTE.path  # who wants the public file gets it
    assert resolve("auto", tmp_path, whole).path == tmp_path / REMOTE.path


@pytest.mark.parametrize("setting", ["auto", "full", "sample"])
def test_where_no_others_are_public_each_word_means_what_ships(network, setting):
    source = resolve_source(setting, None, replace(SHIPPED, whole=True))
    assert (source.kind, source.path) == ("full", SHIPPED.path)
    assert (network.probes, network.fetches) == (0, 0)


def test_a_sample_that_was_changed_is_refused_and_a_missing_one_too(network, tmp_path):
    for damaged, reason in ((replace(SHIPPED, sha256=DIGEST), "changed"), (replace(SHIPPED, path=tmp_path), "changed")):
        with pytest.raises(DataError, match=f"was {reason}: sha256 .*, expected .*name the copy as the data source"):
            resolve("sample", tmp_path, damaged)
    with pytest.raises(DataError, match="is missing: restore it with git"):
        resolve("sample", tmp_path, replace(SHIPPED, path=tmp_path / "no"))


def test_the_digest_of_a_folder_is_of_names_and_contents(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_text("1")
    (tmp_path / "a.txt").write_text("public")
    one = hashlib.sha256(b"1").hexdigest()
    expected = hashlib.sha256(f"{DIGEST}  a.txt\n{one}  b/one.txt\n".encode()).hexdigest()
    assert folder_sha256(tmp_path) == expected
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "x.pyc").write_text("x")
    assert folder_sha256(tmp_path) == expected
    (tmp_path / "a.txt").rename(tmp_path / "c.txt")
    assert folder_sha256(tmp_path) != expected


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


def test_auto_names_what_keeps_it_from_the_host(network, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "socks://u:s3cret@127.0.0.1:9")
    source = resolve("auto", tmp_path)
    assert (source.kind, network.probes, network.fetches) == ("sample", 0, 0)
    assert "_PROXY=socks://***@127.0.0.1:9: expected a proxy http://" in source.reason


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
