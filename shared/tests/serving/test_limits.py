"""Bodies, times and numbers of requests have limits, and a service recovers from what breaks them."""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from demo_service import (
    DemoSettings,
    access_records,
    assert_problem,
    create_app,
    fields,
    release,
)


def test_body_at_the_limit_is_read_and_one_byte_more_is_not(client):
    assert client.post("/v1/raw", content=b"x" * 2000).json() == {"bytes": 2000}
    assert "2000 bytes" in assert_problem(client.post("/v1/raw", content=b"x" * 2001), 413)["detail"]


def test_chunked_body_is_counted_while_it_is_read(client):
    def chunks(count):
        yield from [b"x" * 500] * count

    assert client.post("/v1/raw", content=chunks(4)).json() == {"bytes": 2000}
    assert_problem(client.post("/v1/raw", content=chunks(5)), 413)
    # FastAPI reads this one itself, and would make 400 of an exception it does not know
    assert_problem(client.post("/v1/prices", content=chunks(5), headers={"Content-Type": "application/json"}), 413)


def test_announced_size_is_refused_before_anything_is_read(models, web):
    async def receive():
        raise AssertionError("the body was read")

    sent = run_asgi(create_app(DemoSettings(max_body_bytes=10), models, web), [(b"content-length", b"11")], receive)
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/prices"])
def test_client_that_leaves_mid_body_is_logged_as_499(models, web, caplog, path):
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    caplog.set_level(logging.INFO)
    run_asgi(create_app(DemoSettings(), models, web), [(b"content-type", b"application/json")], receive, path)
    assert [fields(record)["status"] for record in access_records(caplog)] == [499]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def run_asgi(app, headers, receive, path="/v1/raw"):
    """Send one request to a started app, below any HTTP library."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("test", 1),
        "server": ("test", 80),
    }

    async def run():
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    asyncio.run(run())
    return sent


def test_slow_work_is_503_and_the_service_recovers(client):
    response = client.post("/v1/slow?seconds=0.6")
    problem = assert_problem(response, 503)
    assert "0.3 s" in problem["detail"]
    assert response.headers["retry-after"] == "1"
    assert client.post("/v1/slow").status_code == 200


def test_one_request_too_many_is_429_and_others_still_pass(models, web):
    settings = DemoSettings(max_concurrent_requests=64, worker_threads=2)
    app = create_app(settings, models, web)

    async def run():
        release.clear()
        asking = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        async with app.router.lifespan_context(app), asking as c:
            held = [asyncio.create_task(c.post("/v1/held")) for _ in range(64)]
            for _ in range(1000):
                if "http_requests_in_flight 65.0" in (await c.get("/metrics")).text:  # 64 and this one
                    break
                await asyncio.sleep(0.01)
            refused = await c.post("/v1/raw", content=b"x")
            assert_problem(refused, 429)
            assert refused.headers["retry-after"] == "1"
            assert (await c.get("/healthz")).status_code == 200
            assert (await c.get("/v1/users/1")).status_code == 200
            release.set()
            assert [(await task).json() for task in held] == [{"released": True}] * 64
            assert (await c.post("/v1/raw", content=b"x")).status_code == 200

    asyncio.run(run())
