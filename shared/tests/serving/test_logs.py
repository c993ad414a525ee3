import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from portfolio_shared.serving.logs import configure_logging, log_request


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, httpx_level = root.handlers[:], root.level, logging.getLogger("httpx").level
    root.handlers = []  # pytest's own would be closed by configure_logging
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(httpx_level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_request_line(stream: io.StringIO) -> None:
    log_request(request_id="abc", method="POST", route="/v1/prices", status=200, seconds=0.0123456)
    (line,) = lines(stream)
    time = line.pop("time")
    assert time.endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "portfolio_shared.access",
        "message": "request",
        "request_id": "abc",
        "method": "POST",
        "route": "/v1/prices",
        "status": 200,
        "duration_ms": 12.346,
    }


def test_other_libraries_write_json_too_and_traceback_stays_in_one_line(stream: io.StringIO) -> None:
    try:
        int("bad")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed: %s", "why")
    (line,) = lines(stream)
    assert "\n" in line["traceback"]
    assert line["message"] == "failed: why"
    assert line["level"] == "error"
    assert "ValueError: invalid literal" in line["traceback"]


def test_text_cannot_forge_a_line(stream: io.StringIO) -> None:
    logging.getLogger("x").warning('a"}\n{"level": "critical\u2028')
    (line,) = lines(stream)
    assert line["level"] == "warning"
    assert "\u2028" not in stream.getvalue()


def test_value_that_json_does_not_know_becomes_text(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("m", extra={"fields": {"error": KeyError("k")}})
    assert lines(stream)[0]["error"] == "'k'"


def test_level_holds(stream: io.StringIO) -> None:
    logging.getLogger("x").debug("not written")
    logging.getLogger("httpx").info("not written")
    assert stream.getvalue() == ""
