"""The prediction log of a service: what of an answer is kept, and which places for it fail no request."""

import time
from contextlib import closing

import pytest
from demo_service import eventually, house

from portfolio_shared.operations.store import connect
from portfolio_shared.serving.prediction_log import hashed_subject


def test_an_answer_is_kept_as_it_was_sent_with_who_and_when(logging_service, logged):
    body = b'\xef\xbb\xbf {"houses" : [{"area":1e2,"year_built":1990}, {"area":7,"year_built":1990}]}'
    with logging_service() as client:
        headers = {"Content-Type": "application/json", "X-Subject": "ann", "X-Request-ID": "r-1"}
        answer = client.post("/v1/prices", content=body, headers=headers)
        client.post("/v1/prices", json={"houses": [house(area=-1)]})  # a refusal is no prediction
        client.get("/v1/model")
    (row,) = logged()
    assert row.id == answer.json()["id"]
    assert (row.request, row.response) == (body.decode("utf-8-sig"), answer.text)
    assert (row.version, row.route, row.items) == ("7", "/v1/prices", 2)
    assert row.subject == hashed_subject(b"ann", "key")
    assert row.at == pytest.approx(time.time(), abs=30)
    assert row.milliseconds > 0


def test_metrics_count_rows_by_what_became_of_them(logging_service):
    with logging_service() as client:
        for _ in range(3):
            assert client.post("/v1/prices", json={"houses": [house()]}).is_success
        eventually(lambda: 'prediction_log_rows_total{outcome="written"} 3.0' in client.get("/metrics").text)
        text = client.get("/metrics").text
    assert 'prediction_log_rows_total{outcome="dropped_full"} 0.0' in text
    assert 'prediction_log_rows_total{outcome="dropped_database"} 0.0' in text


def test_without_a_log_nothing_is_written_and_nothing_counted(logging_service, tmp_path):
    with logging_service(prediction_log="off") as client:
        assert client.post("/v1/prices", json={"houses": [house()]}).is_success
        assert "prediction_log_rows_total" not in client.get("/metrics").text
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("place", ["/proc/nowhere/log.db", "{}/index.html", "{}"])
def test_a_place_that_cannot_be_written_fails_no_request(logging_service, tmp_path, caplog, place):
    with logging_service(prediction_log=f"sqlite:///{place.format(tmp_path)}") as client:
        assert client.post("/v1/prices", json={"houses": [house()]}).is_success
        eventually(lambda: "predictions are not written" in caplog.text)
        assert client.get("/readyz").is_success
    assert "1 predictions are lost" in caplog.text


def test_rows_wait_for_a_database_that_somebody_has_locked(logging_service, log_url, logged, monkeypatch, caplog):
    monkeypatch.setattr("portfolio_shared.operations.database.BUSY_SECONDS", 0.05)
    with logging_service() as client, closing(connect(log_url)) as other:
        other.execute("BEGIN IMMEDIATE")
        id_ = client.post("/v1/prices", json={"houses": [house()]}).json()["id"]
        eventually(lambda: "database is locked" in caplog.text)
        feedback = client.post("/v1/feedback", json={"id": id_, "truth": {"price": 1}})
        assert (feedback.status_code, feedback.headers["retry-after"]) == (503, "10")
        other.execute("COMMIT")
        eventually(logged)
    assert [row.id for row in logged()] == [id_]


@pytest.mark.long
def test_a_file_that_is_deleted_while_it_is_open_is_made_anew_and_misses_nothing_later(
    logging_service, logged, tmp_path, caplog
):
    def ask():
        return client.post("/v1/prices", json={"houses": [house()]}).json()["id"]

    with logging_service() as client:
        assert client.post("/v1/feedback", json={"id": ask(), "truth": {"price": 1}}).status_code == 202
        for file in (tmp_path / "log").iterdir():
            file.unlink()
        later = ask()
        eventually(lambda: [row.id for row in logged()] == [later])
        assert client.post("/v1/feedback", json={"id": later, "truth": {"price": 1}}).status_code == 202
    assert "somebody has moved or deleted" in caplog.text
    assert [row.id for row in logged()] == [later]
