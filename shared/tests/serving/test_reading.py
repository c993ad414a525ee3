"""What bodies that cost much are answered with, and that nobody waits for them."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
from demo_service import DemoSettings, FakeHolder, create_app, house
from pydantic import BeforeValidator, Field
from starlette.requests import Request

from portfolio_shared.serving import reading
from portfolio_shared.serving.bounds import MAX_BUILT, AtMost, Items
from portfolio_shared.serving.problems import ProblemError, echo
from portfolio_shared.serving.routes import refuse_ignored_parameters
from portfolio_shared.serving.schemas import Strict

SEAT, LIST = {"row": 1}, {"field_type": "List"}
CROWD = {f"a{i}": 0 for i in range(300)}


class Seat(Strict):
    row: int = Field(ge=1)


class Trip(Strict):
    seats: Annotated[list[Seat], Items(1, 1000, "max_seats")] = Field(examples=[[{"row": 1}]])
    days: Annotated[int, AtMost("max_days")] = 1
    groups: Annotated[list[Annotated[list[Seat], Items(most=3)]], Items()] = Field(default=[])


LIMITS = SimpleNamespace(max_seats=200, max_days=9)


def refused(trip: Any, settings: Any = LIMITS) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        reading.read(json.dumps(trip).encode(), Trip.model_validate, settings)
    return caught.value


@pytest.mark.parametrize(
    ("trip", "settings", "field", "bound"),
    [
        ({"seats": [0] * 201}, LIMITS, "seats", {"max_length": 200, "actual_length": 201}),
        ({"seats": [0] * 1001}, None, "seats", LIST | {"max_length": 1000, "actual_length": 1001}),
        ({"seats": []}, None, "seats", LIST | {"min_length": 1, "actual_length": 0}),
        ({"seats": [SEAT], "days": 10}, LIMITS, "days", {"le": 9}),
        ({"seats": [SEAT], "groups": [[], [0] * 4]}, LIMITS, "groups.1", LIST | {"max_length": 3, "actual_length": 4}),
        ({"seats": [SEAT, SEAT | CROWD]}, None, "seats.1", {"max_length": 200, "actual_length": 301}),
        (CROWD, None, "body", {"max_length": 200, "actual_length": 300}),
    ],
)
def test_a_list_that_is_too_long_and_an_object_of_too_many_fields_are_one_error(trip, settings, field, bound):
    (error,) = refused(trip, settings).errors
    assert (error.field, error.bound) == (field, bound)


def test_the_first_errors_of_a_list_end_its_check_and_stand_at_their_places():
    seats = [{"row": 1}, 7, {"row": 0, "x": 1}, *[{"row": 1}] * 50, {"row": "a"}]
    problem = refused({"seats": seats, "groups": [[], [{"row": 0}]]})
    assert [error.field for error in problem.errors] == [
        *("seats.1", "seats.2.row", "seats.2.x", "seats.53.row", "groups.1.0.row")
    ]
    assert problem.detail.startswith("5 values are refused. seats.1: ")
    many = refused({"seats": [{"row": 0, "x": 1}] * 200})
    assert [error.field for error in many.errors][-2:] == ["seats.24.row", "seats.24.x"]
    assert many.detail.startswith("More than 50 values are refused (the first 50 are listed).")


def test_errors_of_a_long_list_are_not_made():
    looked_at = []

    class Body(Strict):
        items: Annotated[list[Annotated[int, BeforeValidator(looked_at.append), Field(ge=1)]], Items(most=1000)]

    for count, most in ((1000, 51), (1001, 0)):
        looked_at.clear()
        with pytest.raises(ProblemError):
            reading.read(json.dumps({"items": [0] * count}).encode(), Body.model_validate)
        assert len(looked_at) == most


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"[" * 1_000_000, 413, "more than 200,000 lists, objects and fields"),
        (b"[" * 100_000, 400, "recursion limit exceeded"),
        (b"9" * 10_000, 400, "number out of range"),
        (b'{"a":"' + b"x" * 900_000 + b'"}', 200, ""),
        (b"{" + b'"a":0,' * 100_000 + b'"a":1}', 200, ""),
        (b"[" + b"0," * 400_000 + b"0]", 200, ""),
    ],
)
def test_what_no_schema_sees(body, status, told):
    if status == 200:
        reading.read(body, None)
        return
    with pytest.raises(ProblemError, match=told) as caught:
        reading.read(body, None)
    assert caught.value.status_code == status


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """Note each call of a function in the block: how much work it is, whatever else a machine does."""
    calls: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _arg: calls.append(event) if event.endswith("call") else None)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def test_only_the_beginning_of_a_large_value_is_looked_at():
    value = [{"name": ["x" * 1_000_000, 1.5, None]}] * 1_000_000
    with counted_calls() as calls:
        assert echo(value) == str([{"name": ["x" * 200]}])[:97] + "..."
    assert len(calls) < 5_000  # of a million
    assert echo([{"a": ["b", {}], "c": []}, 1]) == "[{'a': ['b', {}], 'c': []}, 1]"


def test_a_query_of_many_names_is_refused_at_once():
    query = "&".join(f"a{i}" for i in range(10_000)).encode()
    request = Request({"type": "http", "query_string": query})
    assert len(request.query_params) == 10_000  # read, which takes as long as it is
    with counted_calls() as calls, pytest.raises(ProblemError, match="More than 50 values"):
        refuse_ignored_parameters(request)
    assert len(calls) < 25_000


def test_others_are_answered_while_a_large_body_is_read(web, monkeypatch):
    reached, release = threading.Event(), threading.Event()
    read = reading.read

    def held(body: bytes, *rest: Any, **options: Any) -> Any:
        if len(body) > reading.LARGE:
            reached.set()
            assert release.wait(10)
        return read(body, *rest, **options)

    monkeypatch.setattr(reading, "read", held)
    app = create_app(DemoSettings(), FakeHolder(), web)

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as c,
        ):
            large = asyncio.create_task(c.post("/v1/prices", json={"houses": [house()] * 600}))
            assert await asyncio.to_thread(reached.wait, 10)
            assert (await c.get("/healthz")).status_code == 200
            assert (await c.post("/v1/prices", json={"houses": [house()]})).status_code == 200
            assert not large.done()
            release.set()
            assert len((await large).json()["prices"]) == 600

    asyncio.run(run())


def test_a_large_body_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(reading, "read", lambda *_: time.sleep(0.3))
    settings = SimpleNamespace(request_timeout_seconds=0.05)
    with pytest.raises(ProblemError, match=r"not read within 0\.05 s") as caught:
        asyncio.run(reading.read_body(b" " * 20_000, None, settings))
    assert caught.value.status_code == 503


def test_more_errors_than_are_made_are_said_to_be_more():
    class Wide(Strict):
        numbers: list[int]

    with pytest.raises(ProblemError, match=f"More than {MAX_BUILT} values are refused"):
        reading.read(json.dumps({"numbers": ["a"] * 300}).encode(), Wide.model_validate)
