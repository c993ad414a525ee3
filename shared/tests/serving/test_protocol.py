"""What a client may send on a connection, and what becomes of what two servers could read in two ways."""

import json
import random
from contextlib import suppress

import pytest
from demo_service import DemoSettings, access_records, create_app, eventually, fields, serving
from raw_http import CHUNKED, GET, LAST, POST, answers, assert_refused, connect, talk, until_closed

from portfolio_shared.serving import protocol
from portfolio_shared.serving.api_keys import new_key


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    web = tmp_path_factory.mktemp("web")
    (web / "index.html").write_text("<!doctype html><title>demo</title>")
    settings = DemoSettings(model_cache=web, max_body_bytes=2000)
    with serving(create_app(settings)) as client:
        yield client.base_url.port


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 4, 4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: +4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: -4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: 0x4\r\n\r\nabcd", 400),
        (POST + b"Content-Length: " + b"9" * 5001 + b"\r\n\r\nabcd", 400),
        (POST + b"Content-Length: " + b"0" * 5000 + b"4\r\n\r\nabcd", 400),
        (POST + b"Content-Length : 4\r\n\r\nabcd", 400),
        (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (CHUNKED.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\n4;a\nb\r\nabcd\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\n0x4\r\nabcd\r\n0\r\n\r\n", 400),
        (CHUNKED + b"\r\n4\r\nabcdXX0\r\n\r\n", 400),
        (CHUNKED + b"\r\n4\nabcd\n0\n\n", 400),
        (POST + b"X-Folded: a\r\n b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: local\x00host\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: other\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"a" * 100_000, 414),
        (GET + b"X: " + b"a" * 100_000, 431),
        (GET + b"".join(b"X-%d: a\r\n" % i for i in range(100)) + b"\r\n", 431),
        (CHUNKED + b"\r\n0\r\n" + b"X: a\r\n" * 20_000, 431),  # trailers
        (CHUNKED + b"\r\n4;" + b"a" * 100_000, 431),
        (POST + b"Content-Length: 2001\r\n\r\n", 413),
        (CHUNKED + b"\r\n7d1\r\n" + b"x" * 2001, 413),
    ],
)
def test_what_is_ambiguous_or_too_long_is_refused_and_the_connection_closed(port, request_, status):
    smuggled = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    (answer,) = talk(port, request_, smuggled)
    assert_refused(answer, status)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (POST + b"Content-Length: 4\r\n" + LAST + b"abcd", 4),
        (CHUNKED + LAST + b"4;a=b\r\nabcd\r\n0\r\n\r\n", 4),
        (CHUNKED + LAST + b"4\r\nabcd\r\n3\r\nefg\r\n0\r\nX-Request-ID: trailer\r\nContent-Encoding: gzip\r\n\r\n", 7),
        (POST + b"Content-Length: 0\r\n" + LAST, 0),
        (POST.replace(b"/v1", b"http://localhost/v1") + b"Content-Length: 4\r\n" + LAST + b"abcd", 4),
        (POST.replace(b"1.1", b"1.0") + b"Content-Length: 4\r\n\r\nabcd", 4),
        (b"\r\n" + POST + b"Content-Length: 4\r\n" + LAST + b"abcd", 4),
        # As Java's HttpClient asks by default.
        (
            POST + b"Connection: Upgrade, HTTP2-Settings, close\r\nContent-Length: 4\r\nHTTP2-Settings: AAEAAEAAAAI\r\n"
            b"Upgrade: h2c\r\n\r\nabcd",
            4,
        ),
        (CHUNKED + b"Upgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", 4),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_well_formed_is_answered_in_pieces_of_any_size(port, request_, expected, size):
    ((status, headers, body),) = talk(port, *(request_[i : i + size] for i in range(0, len(request_), size)))
    assert (status, json.loads(body)) == (200, {"bytes": expected})
    assert headers["x-request-id"] != "trailer"


def test_nothing_is_read_after_the_last_request(port):
    assert len(talk(port, GET + LAST + GET + LAST)) == 1


def test_a_client_that_offers_to_upgrade_keeps_its_connection(port):
    offer = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd"
    assert [(status, body) for status, _, body in talk(port, offer, offer, GET + LAST, pause=0.05)] == [
        (200, b'{"bytes":4}'),
        (200, b'{"bytes":4}'),
        (200, b'{"status":"ok"}'),
    ]


def test_requests_in_advance_are_answered_in_turn_and_what_is_wrong_after_them(port):
    first = POST + b"Content-Length: 3\r\n\r\nabc"
    found = talk(
        port, first + GET + b"\r\n" + CHUNKED + b"\r\n2\r\nab\r\n0\r\n\r\n" + POST + b"Content-Length: x\r\n\r\n"
    )
    assert [status for status, _, _ in found] == [200, 200, 200, 400]
    assert [body for _, _, body in found[:3]] == [b'{"bytes":3}', b'{"status":"ok"}', b'{"bytes":2}']


def test_more_requests_in_advance_than_may_wait_close_the_connection(port):
    found = talk(port, (GET + b"\r\n") * 100)
    assert [status for status, _, _ in found] == [200] * (1 + protocol.MAX_PIPELINED)
    assert [headers.get("connection") for _, headers, _ in found[-2:]] == [None, "close"]


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(port):
    with connect(port) as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n" + LAST)
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abcd")
        assert answers(until_closed(client))[0][2] == b'{"bytes":4}'
        (answer,) = talk(port, POST + b"Expect: 100-continue\r\nContent-Length: 2001\r\n\r\n")
        assert_refused(answer, 413)


def test_nothing_is_kept_of_a_body_that_would_be_refused(web):
    key, entry = new_key("ann")
    known = b"X-API-Key: " + key.encode() + b"\r\n"
    half = b"Content-Length: 500000\r\n\r\nhalf"
    with serving(create_app(DemoSettings(api_keys=entry), web=web)) as client:
        for start, status in (
            (POST, 401),
            (POST + b"Expect: 100-continue\r\n", 401),
            (POST + b"Authorization: Bearer other\r\n", 401),
            (POST.replace(b"localhost", b"other.example"), 421),
            (POST + b"Origin: http://other.example\r\n", 403),
            (POST.replace(b"raw", b"feedback") + known, 413),
            (POST.replace(b"/v1/raw", b"/healthz"), 413),
        ):
            (answer,) = talk(client.base_url.port, start + half)
            assert_refused(answer, status)


def test_a_rate_is_counted_once(web):
    key, entry = new_key("ann")
    with serving(create_app(DemoSettings(api_keys=entry, rate_limit=0.001), web=web)) as client:
        start = POST + b"X-API-Key: " + key.encode() + b"\r\nContent-Length: 4\r\n"
        found = [talk(client.base_url.port, start + LAST + b"ab", b"cd", pause=0.05)[0][0] for _ in range(2)]
    assert found == [200, 429]


def test_a_refusal_is_counted_and_logged(web, caplog):
    caplog.set_level("INFO")
    with serving(create_app(DemoSettings(), web=web)) as client:
        talk(client.base_url.port, b"nonsense\r\n\r\n")
        lines = [fields(record) for record in access_records(caplog)]
        assert [(line["route"], line["status"]) for line in lines] == [("unmatched", 400)]
        counted = 'http_requests_total{method="OTHER",route="unmatched",status="400",version=""} 1.0'
        assert counted in client.get("/metrics").text


def test_a_client_still_sending_reads_why_it_is_refused(port):
    with connect(port) as client:
        client.sendall(POST + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert_refused(answers(until_closed(client))[0], 413)


SEEDS = [
    GET + b"\r\n",
    POST + b"Content-Length: 4\r\n\r\nabcd",
    POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd",
    POST + b"Content-Length: 3000\r\n\r\n" + b"x" * 3000,
    CHUNKED + b"\r\n4;a=b\r\nabcd\r\n0\r\nX: y\r\n\r\n",
]
PIECES = [
    *b"\r\n\x00: 9\xff",
    *SEEDS,
    b"\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
]


@pytest.mark.long
@pytest.mark.suite
def test_no_bytes_break_a_service(web, caplog):
    draw = random.Random(0)  # noqa: S311
    with serving(create_app(DemoSettings(max_body_bytes=2000), web=web)) as client:
        for _ in range(1000):
            sent = bytearray(b"".join(draw.choices(SEEDS, k=draw.randint(1, 4))))
            for _ in range(draw.randint(0, 4)):
                i, piece = draw.randrange(len(sent)), draw.choice(PIECES)
                sent[i : i + draw.choice([0, 0, 1, 8])] = bytes([piece]) if isinstance(piece, int) else piece
            with connect(client.base_url.port) as broken, suppress(TimeoutError, ConnectionError):
                broken.settimeout(0.01)
                for i in range(0, len(sent), step := draw.choice([7, 100, 10_000])):
                    broken.sendall(sent[i : i + step])
                assert b"HTTP/1.1 500" not in until_closed(broken)
        eventually(lambda: "\nhttp_connections 1.0" in client.get("/metrics").text)
        assert 'status="500"' not in client.get("/metrics").text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
