"""Bodies that arrive as gzip: read as if they had arrived unpacked, within the same limit, or refused by name."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest
from demo_service import DemoSettings, assert_problem, create_app, house, serving

from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.unpacking import MAX_MEMBERS, PIECE, unpacked

BODY = json.dumps({"houses": [house()]}).encode()
PACKED = gzip.compress(BODY)


def post(client, body, coding="gzip", path="/v1/prices"):
    return client.post(path, content=body, headers={"Content-Encoding": coding, "Content-Type": "application/json"})


def chunks(body, size):
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "identity, gzip", "gzip,"])
def test_gzip_is_read(client, coding):
    assert post(client, PACKED, coding).json()["prices"] == [12000.0]


def test_identity_is_no_coding(client):
    assert post(client, BODY, "identity").json()["prices"] == [12000.0]


def test_chunks_and_several_members_are_read(client):
    packed = gzip.compress(BODY[:20]) + gzip.compress(b"") + gzip.compress(BODY[20:])
    assert post(client, iter(chunks(packed, 7))).json()["prices"] == [12000.0]


def test_nothing_is_an_empty_body(client):
    assert assert_problem(post(client, b""), 422)["errors"][0]["field"] == "body"


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "x" * 500])
def test_other_encodings_are_refused_by_name(client, coding):
    response = post(client, BODY, coding)
    assert coding[:90] in assert_problem(response, 415)["detail"]
    assert response.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BODY, "incorrect header check"),
        (PACKED[:-9], "ends too early"),
        (PACKED[:3], "ends too early"),
        (PACKED[:-8] + b"\0" * 8, "incorrect data check"),
        (PACKED + b"garbage", "incorrect header check"),
        (zlib.compress(BODY), "incorrect header check"),
        (gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), f"more than {MAX_MEMBERS} members"),
    ],
    ids=["plain", "cut", "begun", "checksum", "more", "zlib", "members"],
)
def test_damaged_gzip_is_refused_by_name(web, models, body, reason):
    with serving(create_app(DemoSettings(), models, web)) as client:
        assert reason in assert_problem(post(client, body), 400)["detail"]


def test_the_limit_is_that_of_the_unpacked_body(client):
    assert post(client, gzip.compress(b"x" * 2000), path="/v1/raw").json() == {"bytes": 2000}
    detail = assert_problem(post(client, gzip.compress(b"x" * 2001), path="/v1/raw"), 413)["detail"]
    assert "unpacks to more than 2000 bytes" in detail


def test_a_bomb_is_refused_after_the_limit_and_in_little_memory():
    bomb = gzip.compress(b"\0" * 2**26)
    sent = chunks(bomb, 2**16)
    arrived = 0

    async def receive():
        nonlocal arrived
        arrived += 1
        return {"type": "http.request", "body": sent[arrived - 1], "more_body": arrived < len(sent)}

    async def read():
        body = unpacked(receive, "gzip", limit=3 * PIECE)
        while True:
            assert len((await body())["body"]) <= PIECE

    tracemalloc.start()
    with pytest.raises(ProblemError, match="413"):
        asyncio.run(read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert arrived == 1
    assert peak < 4 * PIECE


def test_a_body_of_pieces_comes_back_whole():
    whole = bytes(range(256)) * 5000 + b"\0" * (3 * PIECE)
    sent = chunks(gzip.compress(whole), 1000)

    async def receive():
        return {"type": "http.request", "body": sent.pop(0), "more_body": bool(sent)}

    async def read():
        body, pieces = unpacked(receive, "gzip", limit=len(whole)), []
        while (message := await body())["more_body"]:
            pieces.append(message["body"])
        return b"".join(pieces)

    assert asyncio.run(read()) == whole
