"""Downloads against a real server that misbehaves in every way servers do."""

import hashlib
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_shared.data import download
from portfolio_shared.data.download import (
    DownloadError,
    HashMismatch,
    HostUnreachable,
    RemoteFile,
    data_directory,
    fetch,
    file_sha256,
    reachable,
)

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the next answer of its path; the last answer of a path is repeated."""

    server: "Server"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answers = self.server.answers[self.path]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def start(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.released = threading.Event()

    def url(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def header(self, name: str) -> list[str | None]:
        return [headers.get(name) for _, headers in self.requests]


@pytest.fixture(autouse=True)
def _no_surprises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.released.set()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def resolver_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Yield an event that is set when the hanging look-up comes back: never while a test runs."""
    before = set(threading.enumerate())
    release, came_back = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        release.wait(60)
        came_back.set()
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield came_back
    release.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port that completes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def whole(body: bytes = BODY, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.start(200, len(body), **headers)
        handler.wfile.write(body)

    return answer


def cut_off(at: int, body: bytes = BODY, **headers: str) -> Answer:
    """Promise everything, send the first `at` bytes, hang up."""

    def answer(handler: Handler) -> None:
        handler.start(200, len(body), **headers)
        handler.wfile.write(body[:at])

    return answer


def ranged(etag: str | None = None, body: bytes = BODY, *, shift: int = 0) -> Answer:
    """Answer like a good server: the rest of the file, or all of it if it changed; with `shift`, the wrong rest."""

    def answer(handler: Handler) -> None:
        tag = {} if etag is None else {"ETag": etag}
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        if asked is None or (condition is not None and condition != etag):
            whole(body, **tag)(handler)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) + shift
        if start >= len(body):
            handler.start(416, 0)
            return
        handler.start(206, len(body) - start, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", **tag)
        handler.wfile.write(body[start:])

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.start(code, 0)


def stall(at: int) -> Answer:
    def answer(handler: Handler) -> None:
        cut_off(at)(handler)
        handler.wfile.flush()
        handler.server.released.wait(60)

    return answer


def unlimited(body: bytes) -> Answer:
    """Send without announcing a length; the end of the connection is the end of the body."""

    def answer(handler: Handler) -> None:
        handler.start(200, None)
        handler.wfile.write(body)

    return answer


def remote(*urls: str, sha256: tuple[str, ...] = (SHA,), size: int | None = None, text: bool = False) -> RemoteFile:
    return RemoteFile("set/file.bin", urls, sha256, size, text=text)


def get(file: RemoteFile, folder: Path, *, connect: float = 2.0, read: float = 5.0) -> Path:
    return fetch(file, directory=folder, connect_timeout=connect, read_timeout=read, progress=False)


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in (folder / "set").iterdir()} - {"file.bin.lock"}


def put_part(folder: Path, body: bytes, validator: str = "") -> None:
    (folder / "set").mkdir()
    (folder / "set" / "file.bin.part").write_bytes(body)
    if validator:
        (folder / "set" / "file.bin.part.validator").write_text(validator)


def test_a_file_arrives_under_its_final_name_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    path = get(remote(server.url("/f", whole(ETag='"1"')), size=len(BODY)), tmp_path)
    assert path == tmp_path / "set" / "file.bin"
    assert path.read_bytes() == BODY
    assert left_behind(tmp_path) == {"file.bin"}
    assert server.header("Accept-Encoding") == ["identity"]


def test_a_file_in_place_is_used_without_a_look_at_the_network_or_its_hash(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin").write_bytes(b"placed by hand")
    assert get(remote(server.url("/f", whole())), tmp_path).read_bytes() == b"placed by hand"
    assert server.requests == []


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.url("/new", whole())
    moved = server.url("/old", lambda handler: handler.start(302, 0, Location="/new"))
    assert get(remote(moved), tmp_path).read_bytes() == BODY


def test_any_of_several_digests_is_accepted(server: Server, tmp_path: Path) -> None:
    assert get(remote(server.url("/f", whole()), sha256=("0" * 64, SHA)), tmp_path).is_file()


def test_a_wrong_file_never_gets_the_final_name_and_the_next_call_starts_clean(server: Server, tmp_path: Path) -> None:
    file = remote(server.url("/f", whole(b"an error page", ETag='"1"'), whole()))
    found = hashlib.sha256(b"an error page").hexdigest()
    with pytest.raises(HashMismatch, match=rf"expected sha256 {SHA}, found {found} \(13 bytes\)"):
        get(file, tmp_path)
    assert left_behind(tmp_path) == set()
    assert get(file, tmp_path).read_bytes() == BODY
    assert server.header("Range") == [None, None]


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    url = server.url("/f", cut_off(3000, ETag='"1"'), ranged('"1"'))
    assert get(remote(url, size=len(BODY)), tmp_path).read_bytes() == BODY
    assert server.header("Range") == [None, "bytes=3000-"]
    assert server.header("If-Range") == [None, '"1"']


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    file = remote(server.url("/f", cut_off(3000, ETag='"1"'), status(503), ranged('"1"')))
    with pytest.raises(DownloadError, match="503"):
        get(file, tmp_path)
    assert left_behind(tmp_path) == {"file.bin.part", "file.bin.part.validator"}
    assert get(file, tmp_path).read_bytes() == BODY
    assert server.header("Range")[-1] == "bytes=3000-"


def test_a_file_that_changed_between_attempts_is_fetched_from_its_beginning(server: Server, tmp_path: Path) -> None:
    url = server.url("/f", cut_off(3000, body=b"\xff" * len(BODY), ETag='"old"'), ranged('"new"'))
    assert get(remote(url), tmp_path).read_bytes() == BODY
    assert server.header("If-Range") == [None, '"old"']


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ETag": 'W/"1"', "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}, "Sat, 01 Jan 2022 00:00:00 GMT"),
        ({"ETag": 'W/"1"'}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_guards_the_resume(
    server: Server, tmp_path: Path, headers: dict[str, str], expected: str | None
) -> None:
    file = remote(server.url("/f", cut_off(3000, BODY, **headers), status(404)))
    with pytest.raises(DownloadError):
        get(file, tmp_path)
    assert server.header("Range")[-1] == "bytes=3000-"
    assert server.header("If-Range")[-1] == expected


def test_a_server_without_ranges_sends_all_of_it_again(server: Server, tmp_path: Path) -> None:
    put_part(tmp_path, BODY[:3000])
    assert get(remote(server.url("/f", whole())), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("answer", [status(416), ranged(shift=7)], ids=["416", "other range than asked for"])
def test_a_resume_that_cannot_fit_starts_over(server: Server, tmp_path: Path, answer: Answer) -> None:
    put_part(tmp_path, BODY[:3000])
    assert get(remote(server.url("/f", answer, whole())), tmp_path).read_bytes() == BODY
    assert server.header("Range") == ["bytes=3000-", None]


def test_a_part_file_longer_than_the_file_starts_over(server: Server, tmp_path: Path) -> None:
    put_part(tmp_path, BODY + b"more")
    assert get(remote(server.url("/f", ranged()), size=len(BODY)), tmp_path).read_bytes() == BODY


def test_a_complete_part_file_needs_no_network(server: Server, tmp_path: Path) -> None:
    put_part(tmp_path, BODY)
    assert get(remote(server.url("/f", status(503)), size=len(BODY)), tmp_path).read_bytes() == BODY
    assert server.requests == []


def test_a_complete_part_file_of_unknown_size_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    put_part(tmp_path, BODY)
    assert get(remote(server.url("/f", ranged())), tmp_path).read_bytes() == BODY


def test_a_server_that_always_breaks_off_is_given_up(server: Server, tmp_path: Path) -> None:
    file = remote(server.url("/f", cut_off(3000)))
    with pytest.raises(DownloadError, match="broke off after 3000 bytes"):
        get(file, tmp_path)
    assert len(server.requests) <= 3
    assert not (tmp_path / "set" / "file.bin").exists()


def test_a_stall_is_noticed_and_what_came_is_kept(server: Server, tmp_path: Path) -> None:
    file = remote(server.url("/f", stall(3000), status(503)))
    with pytest.raises(DownloadError):
        get(file, tmp_path, read=0.3)
    assert (tmp_path / "set" / "file.bin.part").read_bytes() == BODY[:3000]


def test_a_stall_without_any_byte_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"broke off after 0 bytes: nothing came for 0\.3 s"):
        get(remote(server.url("/f", stall(0))), tmp_path, read=0.3)


@pytest.mark.parametrize("wrong", [len(BODY) - 1, len(BODY) + 1])
def test_an_announced_size_that_is_wrong_is_refused_before_the_transfer(
    server: Server, tmp_path: Path, wrong: int
) -> None:
    body = (BODY + b"x")[:wrong]
    with pytest.raises(DownloadError, match=f"announces {wrong} bytes, but the file has {len(BODY)}"):
        get(remote(server.url("/f", whole(body)), size=len(BODY)), tmp_path)
    assert left_behind(tmp_path) == set()


def test_a_body_shorter_than_announced_is_no_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke off after 10 bytes"):
        get(remote(server.url("/f", cut_off(10)), size=len(BODY)), tmp_path)


def test_a_body_without_an_end_is_cut_short(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"sends more than the {len(BODY)} bytes"):
        get(remote(server.url("/f", unlimited(BODY * 50)), size=len(BODY)), tmp_path)


def test_a_body_cut_short_without_an_announced_length_fails_by_its_hash(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HashMismatch, match=f"9 bytes instead of {len(BODY)}"):
        get(remote(server.url("/f", unlimited(BODY[:9])), size=len(BODY)), tmp_path)


def test_mirrors_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    file = remote(
        server.url("/1", status(404)),
        server.url("/2", whole(b"wrong")),
        server.url("/3", whole()),
        server.url("/4", whole()),
    )
    assert get(file, tmp_path).read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/1", "/2", "/3"]


def test_the_last_error_names_every_address_and_what_to_do(server: Server, tmp_path: Path, refusing_port: int) -> None:
    urls = (server.url("/1", status(404)), f"http://127.0.0.1:{refusing_port}/2", server.url("/3", status(503)))
    with pytest.raises(DownloadError) as caught:
        get(remote(*urls), tmp_path)
    message = str(caught.value)
    assert f"{urls[0]}: the server answered 404 Not Found" in message
    assert f"{urls[1]}: cannot reach 127.0.0.1" in message
    assert f"{urls[2]}: the server answered 503 Service Unavailable" in message
    assert "`sample`" in message
    assert str((tmp_path / "set" / "file.bin").resolve()) in message
    assert type(caught.value) is DownloadError


def test_a_refused_connection_is_an_unreachable_host(tmp_path: Path, refusing_port: int) -> None:
    with pytest.raises(HostUnreachable, match=r"cannot reach 127\.0\.0\.1"):
        get(remote(f"http://127.0.0.1:{refusing_port}/f"), tmp_path)


def test_a_resolver_that_hangs_is_not_waited_for(tmp_path: Path, resolver_hangs: threading.Event) -> None:
    with pytest.raises(HostUnreachable, match=r"cannot reach data\.example: no connection within"):
        get(remote("http://data.example/f"), tmp_path, connect=0.05)
    assert not resolver_hangs.is_set()


def test_a_host_that_connects_and_says_nothing_is_no_unreachable_host(tmp_path: Path, silent_port: int) -> None:
    with pytest.raises(DownloadError, match="accepted the connection, but did not answer") as caught:
        get(remote(f"http://127.0.0.1:{silent_port}/f"), tmp_path, read=0.2)
    assert type(caught.value) is DownloadError


def test_a_redirect_without_end_is_given_up(server: Server, tmp_path: Path) -> None:
    url = server.url("/loop", lambda handler: handler.start(302, 0, Location="/loop"))
    with pytest.raises(DownloadError, match="TooManyRedirects"):
        get(remote(url), tmp_path)


def test_a_disk_without_room_is_no_fault_of_the_server(server: Server, tmp_path: Path) -> None:
    body = b"x" * 4_000_000
    file = remote(server.url("/1", whole(body)), server.url("/2", whole(body)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(DownloadError, match=r"cannot write .*file\.bin: .*File too large"):
            get(file, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path, _ in server.requests] == ["/1"]


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match=re.escape(f"cannot write {tmp_path / 'set' / 'file.bin'}")):
        get(remote(server.url("/f", whole())), tmp_path)


def test_text_is_recognised_whatever_its_line_ends_and_kept_as_it_came(server: Server, tmp_path: Path) -> None:
    lines = b"a,b\n1,2\n"
    published = lines.replace(b"\n", b"\r\n")
    file = remote(
        server.url("/f", whole(published)), sha256=(hashlib.sha256(lines).hexdigest(),), size=len(lines), text=True
    )
    path = get(file, tmp_path)
    assert path.read_bytes() == published
    assert file_sha256(path, text=True) == file.sha256[0]
    assert file_sha256(path) == hashlib.sha256(published).hexdigest()


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"]), max_size=30).map(b"".join))
def test_line_ends_are_seen_across_the_edges_of_chunks(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "CHUNK_BYTES", 4)
        found = file_sha256(path, text=True)
    assert found == hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


@pytest.mark.slow
def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    both_started = threading.Event()

    def slow(handler: Handler) -> None:
        both_started.wait(60)
        whole()(handler)

    url = server.url("/f", slow)
    code = (
        "from pathlib import Path; from portfolio_shared.data.download import RemoteFile, fetch; "
        f"print(fetch(RemoteFile('set/file.bin', ({url!r},), ({SHA!r},)), directory=Path({str(tmp_path)!r})))"
    )
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    # The one that waits for the other says so; only then does the server answer.
    waiting = [threading.Thread(target=_set_when_waiting, args=(process, both_started)) for process in processes]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    outputs = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs == [str(tmp_path / "set" / "file.bin")] * 2
    assert len(server.requests) == 1
    assert left_behind(tmp_path) == {"file.bin"}


def _set_when_waiting(process: "subprocess.Popen[str]", event: threading.Event) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "Another process is downloading" in line:
            event.set()


def test_without_a_terminal_the_report_is_one_line(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.url("/f", whole())
    fetch(remote(url), directory=tmp_path)
    assert capsys.readouterr().err == f"Downloading set/file.bin (0.0 MB) from {url}\n"


def test_on_a_terminal_the_report_is_a_bar(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    fetch(remote(server.url("/f", whole())), directory=tmp_path)
    reported = capsys.readouterr()
    assert "10.2/10.2 kB" in reported.err
    assert reported.out == ""


def test_no_report_is_no_report(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    get(remote(server.url("/f", whole())), tmp_path)
    assert capsys.readouterr() == ("", "")


def test_reachable_means_that_one_address_offers_its_file(server: Server, refusing_port: int) -> None:
    refused, missing = f"http://127.0.0.1:{refusing_port}/", server.url("/gone", status(404))
    assert reachable([refused, missing, server.url("/f", whole())])
    assert not reachable([refused, missing])
    assert not reachable([])


def test_reachable_does_not_wait_for_a_silent_host(server: Server, silent_port: int) -> None:
    silent = f"http://127.0.0.1:{silent_port}/"
    assert not reachable([silent], timeout=0.2)
    assert reachable([silent, server.url("/f", whole())], timeout=10)


def test_reachable_does_not_wait_for_a_resolver(resolver_hangs: threading.Event) -> None:
    assert not reachable(["http://data.example/f"], timeout=0.1)
    assert not resolver_hangs.is_set()


def test_reachable_does_not_read_the_body(server: Server) -> None:
    assert reachable([server.url("/f", stall(10))], timeout=10)


def test_the_data_directory_is_read_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", "/somewhere")
    assert data_directory() == Path("/somewhere")
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", "")
    assert data_directory() == Path(".data")
    monkeypatch.delenv("PORTFOLIO_DATA_DIR")
    assert data_directory() == Path(".data")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "../up"}, "below the cache folder, not '../up'"),
        ({"path": "/etc/passwd"}, "below the cache folder"),
        ({"path": ""}, "below the cache folder"),
        ({"path": "."}, "below the cache folder"),
        ({"urls": ()}, "at least one address"),
        ({"urls": "http://a/"}, "urls must be a tuple"),
        ({"urls": ("ftp://a/b",)}, "unlike 'ftp://a/b'"),
        ({"urls": ("http:///b",)}, "unlike 'http:///b'"),
        ({"sha256": SHA}, "sha256 must be a tuple"),
        ({"sha256": ()}, "at least one digest"),
        ({"sha256": (SHA.upper(),)}, "64 lower-case hexadecimal digits"),
        ({"sha256": (SHA[:-1],)}, "64 lower-case hexadecimal digits"),
    ],
)
def test_a_description_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"path": "f", "urls": ("https://a/f",), "sha256": (SHA,)}
    with pytest.raises(ValueError, match=re.escape(message)):
        RemoteFile(**{**fields, **changes})
