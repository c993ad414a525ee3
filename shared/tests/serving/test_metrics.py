"""What Prometheus is told: which version answered, how old the model is, what became of the rows of the log."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from demo_service import MANIFEST, DemoSettings, create_app, eventually, house, serving

from portfolio_shared.serving import prediction_log

NO_FOLDER = "/dev/null/log.db"
ROWS = ("written", "dropped_full", "dropped_database")


@pytest.fixture
def log_path(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", None) or f"{tmp_path}/log.db"


@pytest.fixture
def logging_client(models, web, log_path) -> Iterator[httpx.Client]:
    with serving(create_app(DemoSettings(prediction_log=f"sqlite:///{log_path}"), models, web)) as client:
        yield client


def metric(client: httpx.Client, name: str) -> float | None:
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else None


def rows(client: httpx.Client) -> dict[str, float | None]:
    return {outcome: metric(client, f'prediction_log_rows_total{{outcome="{outcome}"}}') for outcome in ROWS}


def predict(client: httpx.Client, **changes: object) -> int:
    return client.post("/v1/prices", json={"houses": [house(**changes)]}).status_code


def test_a_prediction_is_counted_with_the_version_that_made_it(client, models):
    assert predict(client) == 200
    models.loaded = replace(models.loaded, version="8")
    assert [predict(client) for _ in range(2)] == [200, 200]
    assert predict(client, area=-1) == 422

    counted = 'http_requests_total{{method="POST",route="/v1/prices",status="{}",version="{}"}}'.format
    answers = {("200", "7"): 1, ("200", "8"): 2, ("422", ""): 1}
    eventually(lambda: {answer: metric(client, counted(*answer)) for answer in answers} == answers)


def test_a_model_is_as_old_as_its_training(client, models):
    assert metric(client, "model_age_seconds") == pytest.approx(time.time() - MANIFEST.created.timestamp(), abs=5)

    models.missing = "no model yet"
    assert metric(client, "model_age_seconds") is None


def test_a_service_without_a_log_says_so(client):
    assert predict(client) == 200
    assert metric(client, "prediction_log_enabled") == 0
    assert rows(client) == dict.fromkeys(ROWS)


def test_rows_that_are_written_are_counted(logging_client):
    assert metric(logging_client, "prediction_log_enabled") == 1
    assert rows(logging_client) == dict.fromkeys(ROWS, 0)  # from the start: an increase from nothing is not seen

    assert predict(logging_client) == 200
    eventually(lambda: rows(logging_client) == {"written": 1, "dropped_full": 0, "dropped_database": 0})


@pytest.mark.parametrize(
    ("log_path", "reason"), [(None, "full"), (NO_FOLDER, "database")], indirect=["log_path"], ids=["full", "database"]
)
def test_rows_that_are_lost_are_counted_by_reason(logging_client, caplog, monkeypatch, log_path, reason):
    eventually(lambda: reason == "full" or "predictions are not written" in caplog.text)
    monkeypatch.setattr(prediction_log, "CAPACITY", 0)

    assert predict(logging_client) == 200
    eventually(lambda: rows(logging_client)[f"dropped_{reason}"] == 1)
    assert rows(logging_client)["written"] == 0
