"""The app in process: health, logs, metrics, documentation and pages."""

import json
import logging
import time

import pytest
from demo_service import (
    PAGE,
    DemoSettings,
    access_records,
    assert_problem,
    create_app,
    eventually,
    fields,
    house,
    serving,
)
from fastapi import APIRouter

from portfolio_shared.serving.prediction_log import time_of


def test_healthz_does_not_depend_on_the_model_and_readyz_does(client, models):
    assert client.get("/readyz").json() == {"status": "ready", "model": {"name": "demo", "version": "7"}}
    models.missing = "the registry has no champion of demo yet: train one"
    assert client.get("/healthz").json() == {"status": "ok"}
    for response in (
        client.get("/readyz"),
        client.get("/v1/model"),
        client.post("/v1/prices", json={"houses": [house()]}),
    ):
        assert assert_problem(response, 503)["detail"] == models.missing
        assert int(response.headers["retry-after"]) > 0


def test_model_describes_data_and_metrics(client):
    answer = client.get("/v1/model").json()
    assert time_of(answer.pop("id")) == pytest.approx(time.time(), abs=10)
    assert answer == {
        "name": "demo",
        "version": "7",
        "run_id": None,
        "origin": "path",
        "created": "2026-01-02T00:00:00Z",
        "loaded_at": "2026-01-03T00:00:00Z",
        "project": "demo",
        "data": {"source": "sample", "name": "demo", "sha256": "a" * 64, "rows": {"train": 3}, "refitted": False},
        "metrics": {"mean_absolute_error": {"estimate": 1.5, "low": 1.0, "high": 2.0}},
        "baselines": {},
        "git_commit": "c0ffee",
        "feedback": False,
        "rollout": {"mode": "off", "challenger": None, "stepped_back": None},
    }


def test_model_says_whether_feedback_is_kept(web, tmp_path):
    settings = DemoSettings(prediction_log=f"sqlite:///{tmp_path}/log.db")
    with serving(create_app(settings, web=web)) as client:
        assert client.get("/v1/model").json()["feedback"] is True


def test_first_refresh_comes_before_the_first_request_and_the_watch_ends_with_the_app(models, web):
    with serving(create_app(DemoSettings(), models, web)) as client:
        assert models.refreshes == 1
        client.get("/healthz")
        assert models.watching
    assert not models.watching


def test_watch_that_fails_is_reported(models, web, caplog):
    models.watch_error = RuntimeError("watch broke")
    with serving(create_app(DemoSettings(), models, web)) as client:
        assert client.get("/healthz").status_code == 200
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "watch broke" in caplog.text
    assert record.exc_info


def test_one_log_line_a_request_with_the_template_and_nothing_personal(client, caplog):
    caplog.set_level(logging.INFO)
    client.get("/v1/users/31337?email=a@b.c")
    client.get("/31337")
    client.post("/v1/raw", content=b"x" * 5000)
    eventually(lambda: len(access_records(caplog)) == 3)
    lines = [fields(record) for record in access_records(caplog)]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/v1/users/{user_id}", 422),
        ("GET", "unmatched", 404),
        ("POST", "/v1/raw", 413),
    ]
    assert all(line["duration_ms"] > 0 and len(line["request_id"]) == 32 for line in lines)
    assert "31337" not in str(lines)
    assert "a@b.c" not in str(lines)


def test_metrics_count_by_template(client, models):
    for user in (1, 2, 3):
        client.get(f"/v1/users/{user}")
    client.request("PROPFIND", "/v1/users/1")
    client.get("/web/page.js")
    eventually(lambda: 'route="/web/{path}"' in client.get("/metrics").text)  # counted after the file is closed
    models.refused_bundles = 4
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    for expected in (
        'http_requests_total{method="GET",route="/v1/users/{user_id}",status="200",version=""} 3.0',
        'http_requests_total{method="OTHER",route="/v1/users/{user_id}",status="405",version=""} 1.0',
        'http_requests_total{method="GET",route="/web/{path}",status="200",version=""} 1.0',
        'http_request_duration_seconds_count{route="/v1/users/{user_id}"} 4.0',
        "http_requests_in_flight 1.0",
        'model_info{name="demo",origin="path",version="7"} 1.0',
        "model_swaps_total 1.0",
        "model_refused_bundles_total 4.0",
    ):
        assert expected in lines
    models.missing = "gone"
    assert "model_info{" not in client.get("/metrics").text


@pytest.mark.parametrize("path", ["/", "/web/page.js", "/docs", "/docs/assets/swagger-ui-bundle.js", "/healthz"])
def test_head_works_on_pages(client, path):
    response = client.head(path)
    assert response.status_code == 200
    assert int(response.headers["content-length"]) > 0


def test_head_is_counted_as_such(client, caplog):
    caplog.set_level(logging.INFO)
    assert client.head("/v1/users/3").status_code == 200
    eventually(lambda: access_records(caplog))
    (record,) = access_records(caplog)
    assert (fields(record)["method"], fields(record)["route"]) == ("HEAD", "/v1/users/{user_id}")
    assert 'method="HEAD",route="/v1/users/{user_id}",status="200",version=""' in client.get("/metrics").text


def test_page_is_revalidated_and_files_have_an_etag(client):
    page = client.get("/")
    assert page.text == PAGE
    for path in ("/", "/web/page.js", "/docs/assets/swagger-ui.css"):
        first = client.get(path)
        assert first.headers["cache-control"] == ("public, max-age=86400" if "assets" in path else "no-cache")
        again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.headers["cache-control"] == first.headers["cache-control"]


def test_security_headers_are_on_every_response(client):
    for response in (client.get("/"), client.get("/nothing"), client.post("/v1/raw", content=b"x" * 5000)):
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"


def test_docs_load_nothing_from_elsewhere_and_run_no_inline_script(client):
    page = client.get("/docs").text
    assert "://" not in page
    assert "<script>" not in page
    assert "Demo &lt;service&gt;" in page
    for path in ("/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js", "/docs/start.js", "/openapi.json"):
        assert client.get(path).status_code == 200
        assert path in page or path == "/openapi.json"
    assert "/openapi.json" in client.get("/docs/start.js").text


def test_openapi_shows_problems_in_place_of_fastapis_own_errors(client):
    document = client.get("/openapi.json").json()
    responses = document["paths"]["/v1/prices"]["post"]["responses"]
    assert set(responses) == {"200", "default"}
    assert "application/problem+json" in responses["default"]["content"]
    assert "HTTPValidationError" not in json.dumps(document)
    assert {"FeedbackRequest", "Truth"} <= set(document["components"]["schemas"])


def test_route_that_would_accept_nan_is_refused(web, monkeypatch):
    router = APIRouter(prefix="/v1")
    router.add_api_route("/lax", lambda: None)
    monkeypatch.setattr("demo_service.router", router)
    with pytest.raises(TypeError, match="/v1/lax is no StrictRoute"):
        create_app(DemoSettings(), web=web)
