"""How slow clients may be, how many, and what they may hold of a service."""

import json
import re
import time
from contextlib import ExitStack, contextmanager

import pytest
from demo_service import DemoSettings, create_app, eventually, release, serving
from fastapi import Response
from offline import Service
from raw_http import CHUNKED, GET, LAST, POST, answers, assert_refused, connect, talk, until_closed

from portfolio_shared.serving import connections, watched
from portfolio_shared.serving.exchange import Exchange
from portfolio_shared.serving.unpacking import PIECE

TIMEOUT = 0.3
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    web = tmp_path_factory.mktemp("web")
    (web / "index.html").write_text("<!doctype html><title>demo</title>")
    with serving(create_app(DemoSettings(model_cache=web, client_timeout_seconds=TIMEOUT))) as client:
        yield client.base_url.port


@pytest.fixture
def offline(web):
    """Return **settings -> a service without a network."""
    made = []

    def make(**settings):
        made.append(Service(web, **settings))
        return made[-1]

    yield make
    for service in made:
        service.loop.close()


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
def test_a_client_that_is_too_slow_is_told_and_cut_off(offline, parts, statuses):
    service = offline(client_timeout_seconds=10)
    wire = service.connect()
    for part in parts:
        wire.say(part)
        service.wait(1)
    service.wait(9 - len(parts))
    assert not wire.ended
    service.wait(7)
    assert (wire.statuses, wire.ended) == (statuses, True)


def test_a_slow_client_on_a_socket_is_told_and_cut_off(port):
    started = time.perf_counter()
    assert [status for status, _, _ in talk(port, POST + b"Content-Length: 100\r\n\r\nhalf")] == [408]
    assert TIMEOUT * 0.9 < time.perf_counter() - started < 10 * TIMEOUT


def test_a_body_that_arrives_steadily_is_waited_for(offline):
    service = offline(client_timeout_seconds=10)
    wire = service.connect()
    wire.say(POST + b"Content-Length: 60000\r\n\r\n")
    for _ in range(30):
        service.wait(1.5)
        wire.say(b"x" * 2000)
    assert (wire.statuses, wire.ended) == ([200], False)


def test_a_connection_without_a_next_request_is_closed_and_one_in_use_is_not(offline):
    service = offline()
    wire = service.connect()
    for _ in range(4):
        wire.say(GET + b"\r\n")
        service.wait(4)
    assert (wire.statuses, wire.closed) == ([200] * 4, False)
    service.wait(1)
    assert wire.closed


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


def test_those_who_have_sent_next_to_nothing_give_way_to_an_upload(offline):
    service = offline(max_body_bytes=1_000_000, max_total_body_bytes=2_000_000)
    large = [service.connect() for _ in range(2)]
    for wire in large:
        wire.say(POST + b"Content-Length: 990000\r\n\r\n" + b"x" * 970_000)
    service.wait(12)  # so that they are slower than who sends now
    slow, honest = [service.connect() for _ in range(500)], service.connect()
    for wire in slow:
        wire.say(POST + b"Content-Length: 990000\r\n\r\n" + b"x" * 10)
    honest.say(POST + b"Content-Length: 900000\r\n\r\n")
    for _ in range(9):
        honest.say(b"x" * 100_000)
    assert honest.statuses == [200]
    assert {status for wire in (*slow, *large) for status in wire.statuses} == {503}


def test_bodies_that_are_sent_in_advance_give_way(offline):
    service = offline(max_body_bytes=1_000_000, max_total_body_bytes=2_000_000)
    ahead = [service.connect() for _ in range(5)]
    for wire in ahead:
        wire.say(POST.replace(b"raw", b"held") + b"Content-Length: 0\r\n\r\n")
        wire.say(POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000)
    assert service.connections._body_bytes <= 2_000_000
    service.run(service.released.set)
    assert [wire.statuses for wire in ahead] == [[200]] * 3 + [[200, 200]] * 2
    assert [wire.closed for wire in ahead] == [True] * 3 + [False] * 2


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
def test_a_connection_too_many_is_told_at_once(offline, setting):
    service = offline(**{setting: 3})
    wires = [service.connect() for _ in range(4)]
    assert [wire.ended for wire in wires] == [False, False, False, True]
    ((status, headers, body),) = answers(wires[3].sent)
    assert (status, headers["retry-after"], json.loads(body)["status"]) == (503, "1", 503)
    service.wait(10)
    assert all(wire.closed for wire in wires)


def test_the_slowest_body_of_who_has_most_connections_gives_way_to_another_client(offline):
    service = offline(max_connections=3)
    greedy = [service.connect("192.0.2.1") for _ in range(3)]
    for wire, sent in zip(greedy, (5000, 100, 5000), strict=True):
        wire.say(POST + b"Content-Length: 900000\r\n\r\n")
        wire.say(b"x" * sent)
    assert service.connect("192.0.2.1").ended
    assert not service.connect("192.0.2.2").ended
    assert [wire.closed for wire in greedy] == [False, True, False]
    assert service.connect("192.0.2.2").ended  # each has its share


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


def refuse(service, method, _url, _length, send):
    return method == b"POST" and service.loop.call_soon(send, REFUSED)


def test_a_refused_upload_is_heard_to_its_end_if_it_is_not_too_slow(offline, monkeypatch):
    service = offline()
    monkeypatch.setattr(service.admission, "refuses", lambda *asked: refuse(service, *asked))
    steady, slow = service.connect(), service.connect()
    for wire in (steady, slow):
        wire.say(POST + b"Content-Length: 30000\r\n\r\n")
    for _ in range(15):
        service.wait(1)
        steady.say(b"x" * 2000)
        slow.say(b"x" * 200)
    assert (steady.closed, slow.closed) == (False, True)
    steady.say(GET + b"\r\n")
    assert steady.statuses == [429, 200]


@pytest.mark.parametrize(
    "framing",
    [b"Expect: 100-continue\r\nContent-Length: 500", b"Transfer-Encoding: chunked", b"Content-Length: 9000000"],
)
def test_a_refused_request_whose_body_may_never_end_is_the_last(offline, monkeypatch, framing):
    service = offline()
    monkeypatch.setattr(service.admission, "refuses", lambda *asked: refuse(service, *asked))
    wire = service.connect()
    wire.say(POST + framing + b"\r\n\r\n")
    wire.say(GET + b"\r\n")
    assert [(status, headers["connection"]) for status, headers, _ in answers(wire.sent)] == [(429, "close")]
    assert wire.ended


HELD = POST.replace(b"raw", b"held") + b"Content-Length: 0\r\n\r\n"
HALF = POST + b"Content-Length: 100\r\n\r\nhalf"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [(b"", []), (GET, []), (HALF, [200]), (HELD + HALF, [200]), (HELD + GET + b"\r\n", [200, 200])],
)
def test_the_end_waits_for_what_is_asked_and_for_a_body_that_arrives(offline, sent, statuses):
    service = offline()
    wire = service.connect()
    wire.say(sent)
    service.run(wire.protocol.shutdown)
    assert wire.closed == (not statuses)
    wire.say(b"x" * 96)
    service.run(service.released.set)
    assert (wire.statuses, wire.closed) == (statuses, True)
