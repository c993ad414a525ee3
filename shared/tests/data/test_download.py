"""Downloads against a real server that misbehaves as servers do."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch.core
import pytest

from portfolio_shared.data import download
from portfolio_shared.data.download import DownloadError, RemoteFile, data_directory, fetch, file_sha256, reachable

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the next answer of its path; the last answer of a path is repeated."""

    server: "Server"

    def do_GET(self):
        self.server.requests.append(self.path)
        answers = self.server.answers[self.path]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_):
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        self.released = threading.Event()

    def url(self, path, *answers):
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "READ_SECONDS", 0.3)
    monkeypatch.setattr(pooch.core.time, "sleep", lambda _seconds: None)  # between two attempts


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.released.set()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def refused():
    """Return an address whose host refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/f"


@pytest.fixture
def silent():
    """Yield an address whose host completes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/f"


def whole(body=BODY, *, send=None):
    """Announce all of the body; with `send`, hang up after so many bytes."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:send])

    return answer


def stall(handler):
    whole(send=3000)(handler)
    handler.wfile.flush()
    handler.server.released.wait(60)


def status(code):
    def answer(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def remote(*urls, sha256=(SHA,), size=None, text=False):
    return RemoteFile("set/file.bin", urls, sha256, size, text=text)


def names(folder):
    return [path.name for path in (folder / "set").iterdir()]


def test_a_file_arrives_whole_readable_by_all_and_alone(server, tmp_path):
    path = fetch(remote(server.url("/f", whole()), sha256=("0" * 64, SHA)), directory=tmp_path)
    assert path == tmp_path / "set" / "file.bin"
    assert path.read_bytes() == BODY
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["file.bin"]


def test_a_cached_file_is_checked_without_the_network_and_a_wrong_one_is_named(server, tmp_path):
    file, path = remote(server.url("/f", whole())), tmp_path / "set" / "file.bin"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch(file, directory=tmp_path) == path
    path.write_bytes(b"other")
    digest = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DownloadError, match=rf"sha256 {digest}, expected {SHA} \(5 bytes\): delete {path} to download"):
        fetch(file, directory=tmp_path)
    assert path.read_bytes() == b"other"
    assert server.requests == []


def test_a_wrong_file_never_gets_the_name(server, tmp_path):
    file = remote(server.url("/f", whole(b"an error page"), whole()), size=len(BODY))
    with pytest.raises(DownloadError, match=rf"not the expected file: .* \(13 bytes instead of {len(BODY)}\)"):
        fetch(file, directory=tmp_path)
    assert names(tmp_path) == []
    assert fetch(file, directory=tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("broken", [whole(send=3000), stall, status(503)])
def test_a_transfer_that_breaks_off_is_tried_again(server, tmp_path, broken):
    assert fetch(remote(server.url("/f", broken, whole())), directory=tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ["file.bin"]


def test_a_server_that_always_breaks_off_is_given_up_and_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="3000 bytes read"):
        fetch(remote(server.url("/f", whole(send=3000))), directory=tmp_path)
    assert len(server.requests) == 1 + download.RETRIES
    assert names(tmp_path) == []


def test_an_interruption_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        assert names(tmp_path) != []
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "file_sha256", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(remote(server.url("/f", whole())), directory=tmp_path)
    assert names(tmp_path) == []


def test_mirrors_are_tried_in_order_and_dead_hosts_only_once(server, tmp_path, refused):
    urls = [server.url(path, answer) for path, answer in {"/1": whole(b"wrong"), "/2": whole(), "/3": whole()}.items()]
    start = time.monotonic()
    assert fetch(remote(refused, *urls), directory=tmp_path).read_bytes() == BODY
    assert server.requests == ["/1", "/2"]
    assert time.monotonic() - start < 5


def test_the_error_names_every_address_and_what_to_do(server, tmp_path, refused, silent):
    urls = (server.url("/1", status(404)), refused, silent)
    with pytest.raises(DownloadError) as caught:
        fetch(remote(*urls), directory=tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "could not download set/file.bin:"
    assert lines[1].startswith(f"  {urls[0]}: 404 Client Error: Not Found")
    assert lines[2].startswith(f"  {urls[1]}: no connection: ")
    assert lines[3].startswith(f"  {urls[2]}: ")
    assert "timed out" in lines[3]
    where = tmp_path / "set" / "file.bin"
    assert lines[4] == f"Set the data source to `sample` to work offline, or save {urls[0]} as {where}"


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "set").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match=r"cannot write .*file\.bin"):
        fetch(remote(server.url("/f", whole())), directory=tmp_path)


def test_text_is_recognized_whatever_its_line_ends_and_kept_as_it_came(server, tmp_path):
    lines = b"a,b\n1,2\n"
    published, digest = lines.replace(b"\n", b"\r\n"), hashlib.sha256(lines).hexdigest()
    path = fetch(remote(server.url("/f", whole(published)), sha256=(digest,), text=True), directory=tmp_path)
    assert path.read_bytes() == published
    assert file_sha256(path, text=True) == digest
    assert file_sha256(path) == hashlib.sha256(published).hexdigest()


def test_two_downloads_at_once_both_find_the_whole_file(server, tmp_path):
    both = threading.Barrier(2, timeout=30)

    def answer(handler):
        both.wait()
        whole()(handler)

    file = remote(server.url("/f", answer))
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch(file, directory=tmp_path), range(2)))
    assert [path.read_bytes() for path in paths] == [BODY, BODY]
    assert names(tmp_path) == ["file.bin"]


def test_reachable_means_that_one_address_offers_its_file(server, refused):
    missing = server.url("/gone", status(404))
    assert reachable([refused, missing, server.url("/f", stall)])
    assert not reachable([refused, missing])
    assert not reachable([])


def test_reachable_waits_neither_for_a_silent_host_nor_for_a_resolver(server, silent, monkeypatch):
    assert not reachable([silent], timeout=0.2)
    assert reachable([silent, server.url("/f", whole())], timeout=10)
    release, threads = threading.Event(), set(threading.enumerate())
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(60) and [])
    start = time.monotonic()
    assert not reachable(["http://data.example/f"], timeout=0.1)
    assert time.monotonic() - start < 5
    release.set()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)


def test_the_data_directory_is_read_when_asked_for(monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", "/somewhere")
    assert data_directory() == Path("/somewhere")
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", "")
    assert data_directory() == Path(".data")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks5://u:s3cret@127.0.0.1:9", r"ALL_PROXY=socks5://\*\*\*@127.0.0.1:9: .*pip install PySocks"),
        ("REQUESTS_CA_BUNDLE", "/nowhere.pem", "REQUESTS_CA_BUNDLE=/nowhere.pem: there is no such file"),
        (
            "HTTP_PROXY",
            "http://u:s3cret@127.0.0.1:9",
            r"asked through the proxy http://\*\*\*@127.0.0.1:9 of HTTP_PROXY",
        ),
    ],
)
def test_settings_that_keep_us_from_a_host_are_named(monkeypatch, tmp_path, name, value, said):
    for variable in ("NO_PROXY", "HTTP_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("portfolio_shared.proxies.find_spec", lambda _: None)
    monkeypatch.setenv(name, value)
    with pytest.raises(DownloadError, match=said) as failed:
        fetch(remote("http://data.invalid/file"), directory=tmp_path)
    assert "s3cret" not in str(failed.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
