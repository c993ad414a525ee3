"""How slow clients may be, how many, and what they may hold of a service."""

import json
import re
import time
from contextlib import ExitStack, contextmanager

import pytest
from demo_service import DemoSettings, create_app, eventually, house, release, serving
from fastapi import Response
from raw_http import CHUNKED, GET, LAST, POST, answers, assert_refused, connect, talk, until_closed

from portfolio_shared.serving import connections, watched
from portfolio_shared.serving.connections import DescriptorsError, reserve_descriptors
from portfolio_shared.serving.exchange import Exchange
from portfolio_shared.serving.unpacking import PIECE

TIMEOUT = 0.3


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    web = tmp_path_factory.mktemp("web")
    (web / "index.html").write_text("<!doctype html><title>demo</title>")
    with serving(create_app(DemoSettings(model_cache=web, client_timeout_seconds=TIMEOUT))) as client:
        yield client.base_url.port


@pytest.fixture
def limited(web):
    """Return a context manager: **settings -> client of a service within these limits."""

    @contextmanager
    def start(**changes):
        app = create_app(DemoSettings(client_timeout_seconds=TIMEOUT, **changes), web=web)
        app.add_api_route("/large", lambda: Response(b"x" * 20_000_000))
        with serving(app) as client:
            client.headers["connection"] = "close"
            yield client

    return start


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ([], []),
        ([b"\r\n"], [408]),
        ([GET], [408]),
        ([GET + b"X-Slow: "] + [b"a"] * 8, [408]),
        ([POST + b"Content-Length: 100\r\n\r\n"], [408]),
        ([POST + b"Content-Length: 100\r\n\r\n"] + [b"a"] * 8, [408]),
        ([CHUNKED + b"\r\n"] + [b"1\r\na\r\n"] * 8, [408]),
        ([GET + b"\r\n" + POST + b"Content-Length: 100\r\n\r\n"] + [b"a"] * 8, [200, 408]),
    ],
)
def test_a_client_that_is_too_slow_is_told_and_cut_off(port, parts, statuses):
    started = time.perf_counter()
    assert [status for status, _, _ in talk(port, *parts, pause=0.05)] == statuses
    assert TIMEOUT * 0.9 < time.perf_counter() - started < 3 * TIMEOUT


def test_a_body_that_arrives_steadily_is_waited_for(port):
    parts = [b"x" * 100] * 10
    ((status, _, body),) = talk(port, POST + b"Content-Length: 1000\r\n" + LAST, *parts, pause=0.06)
    assert (status, body) == (200, b'{"bytes":1000}')


def test_a_connection_without_a_next_request_is_closed_and_one_in_use_is_not(port, monkeypatch):
    made = watched.WatchedProtocol.__init__

    def impatient(self, *args, **named):
        made(self, *args, **named)
        self.timeout_keep_alive = TIMEOUT

    monkeypatch.setattr(watched.WatchedProtocol, "__init__", impatient)
    started = time.perf_counter()
    assert len(talk(port, *[GET + b"\r\n"] * 4, pause=TIMEOUT / 2)) == 4
    assert time.perf_counter() - started < 4 * TIMEOUT


def test_half_sent_bodies_take_no_place(limited):
    with limited(max_concurrent_requests=1) as client, ExitStack() as stack:
        for _ in range(3):
            slow = stack.enter_context(connect(client.base_url.port))
            slow.sendall(POST + b"Content-Length: 100\r\n\r\nhalf")
        assert client.post("/v1/raw", content=b"abc").json() == {"bytes": 3}


def test_the_slowest_body_gives_way_where_all_are_too_much(limited):
    with limited(max_body_bytes=1_000_000, max_total_body_bytes=1_500_000) as client:
        port = client.base_url.port
        with connect(port) as slow, connect(port) as fast:
            slow.sendall(POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 600_000)
            eventually(lambda: "http_connections 3.0" in client.get("/metrics").text)
            fast.sendall(POST + b"Content-Length: 950000\r\n" + LAST + b"x" * 940_000)
            assert_refused(answers(until_closed(slow))[0], 503)
            fast.sendall(b"x" * 10_000)
            assert answers(until_closed(fast))[0][2] == b'{"bytes":950000}'


def test_a_large_body_is_read_in_pieces(limited, monkeypatch):
    pieces = []
    receive = Exchange.receive

    async def seen(self):
        message = await receive(self)
        pieces.append(len(message.get("body", b"")))
        return message

    monkeypatch.setattr(Exchange, "receive", seen)
    with limited() as client:
        assert client.post("/v1/raw", content=b"x" * 600_000).json() == {"bytes": 600_000}
    assert pieces == [PIECE, PIECE, 600_000 - 2 * PIECE]


def closed_for(client, reason):
    text = client.get("/metrics").text
    return float(re.findall(rf'http_connections_closed_total{{reason="{reason}"}} (\S+)', text)[0])


def test_a_client_that_does_not_read_is_cut_off_and_a_slow_one_is_not(limited):
    with limited() as client, connect(client.base_url.port) as deaf, connect(client.base_url.port) as slow:
        for each in (deaf, slow):
            each.sendall(GET.replace(b"/healthz", b"/large") + LAST)
        read = 0
        while not closed_for(client, "unread"):
            read += len(slow.recv(65536))
            time.sleep(0.01)
        while part := slow.recv(1_000_000):
            read += len(part)
        assert read > 20_000_000
        assert len(until_closed(deaf)) < 20_000_000


def test_what_is_not_read_is_bounded_in_all(limited, monkeypatch):
    monkeypatch.setattr(connections, "UNSENT_BYTES", 40_000_000)
    monkeypatch.setattr(watched.Pace, "too_slow", lambda *_: False)
    with limited() as client, ExitStack() as stack:
        for _ in range(4):
            deaf = stack.enter_context(connect(client.base_url.port))
            deaf.sendall(GET.replace(b"/healthz", b"/large") + LAST)
        eventually(lambda: closed_for(client, "unread") == 2)
        assert client.get("/large").status_code == 200


@pytest.mark.parametrize("setting", ["max_connections", "max_connections_per_client"])
def test_a_connection_too_many_is_told_at_once(limited, setting):
    with limited(**{setting: 3}) as client, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(client.base_url.port))
        time.sleep(0.05)
        with connect(client.base_url.port) as one_more:
            ((status, headers, body),) = answers(until_closed(one_more))
        assert (status, headers["retry-after"], json.loads(body)["status"]) == (503, "1", 503)
        time.sleep(2 * TIMEOUT)  # the others are closed: they send nothing
        assert closed_for(client, "refused") == 1


def test_an_idle_connection_gives_way_to_one_too_many(limited, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    with limited(max_connections=3) as client, ExitStack() as stack:
        idle = [stack.enter_context(connect(client.base_url.port)) for _ in range(3)]
        assert client.get("/healthz").status_code == 200
        assert idle[0].recv(1) == b""


def test_a_full_service_refuses_and_keeps_the_connection(limited):
    release.clear()
    with limited(max_concurrent_requests=1) as client, connect(client.base_url.port) as held:
        held.sendall(POST.replace(b"raw", b"held") + b"Content-Length: 0\r\n" + LAST)
        eventually(lambda: "http_requests_in_flight 2.0" in client.get("/metrics").text)
        refused = POST + b"Content-Length: 4\r\n\r\n"
        parts = [refused + b"abcd", refused, b"abcd", GET + LAST]
        found = talk(client.base_url.port, *parts, pause=0.06)
        release.set()
        assert [status for status, _, _ in found] == [429, 429, 200]
        assert answers(until_closed(held))[0][0] == 200


def test_the_end_waits_for_nobody_who_is_idle_or_half_sent(limited):
    with ExitStack() as stack:
        with limited() as client:
            for part in (b"", GET, POST + b"Content-Length: 100\r\n\r\nhalf"):
                stack.enter_context(connect(client.base_url.port)).sendall(part)
            client.post("/v1/prices", json={"houses": [house()]})
            started = time.perf_counter()
        assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [(256, 10_000, 1200), (5000, 5000, None), (256, connections.resource.RLIM_INFINITY, 1200)],
)
def test_the_limit_of_open_files_is_raised_where_it_is_too_low(monkeypatch, soft, hard, raised):
    set_to = []
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, limits: set_to.append(limits))
    reserve_descriptors(DemoSettings())
    assert set_to == ([] if raised is None else [(raised, hard)])


def test_fewer_open_files_than_connections_are_one_clear_line(monkeypatch):
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (256, 1000))
    with pytest.raises(DescriptorsError, match=r"^DEMO_MAX_CONNECTIONS=1000 needs 1200 .* DEMO_MAX_CONNECTIONS to 800"):
        reserve_descriptors(DemoSettings())
