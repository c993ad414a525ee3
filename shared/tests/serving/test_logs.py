import io
import json
import logging

import pytest

from portfolio_shared.serving.logs import configure_logging, log_request


@pytest.fixture
def written(monkeypatch):
    """Return what was written to standard output."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    root = logging.getLogger()
    handlers, level, httpx_level = root.handlers[:], root.level, logging.getLogger("httpx").level
    root.handlers = []  # pytest's own would be closed by configure_logging
    configure_logging("info")
    yield stream.getvalue
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("httpx").setLevel(httpx_level)


def test_request_line(written):
    log_request({"request_id": "abc"}, method="POST", route="/v1/prices", status=200, seconds=0.0123456)
    line = json.loads(written())
    assert line.pop("time").endswith("+00:00")
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


def test_other_libraries_write_json_too_and_traceback_stays_in_one_line(written):
    try:
        int("bad")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed: %s", "why")
    line = json.loads(written())
    assert "\n" in line["traceback"]
    assert line["message"] == "failed: why"
    assert line["level"] == "error"
    assert "ValueError: invalid literal" in line["traceback"]


def test_secrets_of_addresses_are_hidden_whoever_writes_them(written):
    try:
        int("postgresql://me:s3cret@db/mlflow")
    except ValueError:
        logging.getLogger("x").exception("asked %s", "http://me:s3cret@127.0.0.1:9?token=s3cret")
    text = written()
    assert json.loads(text)["message"] == "asked http://***@127.0.0.1:9?token=***"
    assert "s3cret" not in text


def test_text_cannot_forge_a_line(written):
    logging.getLogger("x").warning('a"}\n{"level": "critical\u2028')
    text = written()
    assert json.loads(text)["level"] == "warning"
    assert "\u2028" not in text


def test_value_that_json_does_not_know_becomes_text(written):
    logging.getLogger("x").warning("m", extra={"fields": {"error": KeyError("k")}})
    assert json.loads(written())["error"] == "'k'"


def test_level_holds(written):
    logging.getLogger("x").debug("not written")
    logging.getLogger("httpx").info("not written")
    assert written() == ""
