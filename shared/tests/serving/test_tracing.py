"""Traces: what a span says and what it never says, where it is sent, and that a request does not depend on that."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from demo_service import (
    DemoSettings,
    FakeHolder,
    access_records,
    assert_problem,
    create_app,
    eventually,
    fields,
    house,
    serving,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from raw_http import talk

from portfolio_shared.tracking.client import tracking_client

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HOUSES = {"houses": [house()]}


class Receiver(ThreadingHTTPServer):
    """Takes spans as an MLflow server does, which knows its experiment `demo` as number 3."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.uri = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.status == 200:
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.server.services |= {attributes(resource.resource)["service.name"]}
                self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self._answer(self.server.status if self.path == "/v1/traces" else 404, b"")

    def do_GET(self) -> None:
        known = self.path == "/api/2.0/mlflow/experiments/get-by-name?experiment_name=demo"
        self._answer(self.server.status if known else 404, json.dumps({"experiment": {"experiment_id": "3"}}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def told_by(answer: httpx.Response) -> list[str]:
    return answer.headers["traceresponse"].split("-")[1:]


def traced(uri: str, **settings: Any) -> DemoSettings:
    return DemoSettings(tracking_uri=uri, trace_uri=f"{uri}/v1/traces", **settings)


def test_a_request_and_its_computation_are_spans_and_its_log_line_names_their_trace(receiver, web, caplog):
    caplog.set_level(logging.INFO, logger="portfolio_shared.access")
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        answer = client.post("/v1/prices", json=HOUSES, headers={"X-Request-ID": "r-1", "X-Subject": "ann"})
        for path in ("/healthz", "/metrics", "/"):
            assert "traceresponse" not in client.get(path).headers
        assert receiver.spans == []

    outer, inner = sorted(receiver.spans, key=lambda span: len(span.parent_span_id))
    assert (outer.name, outer.kind) == ("POST /v1/prices", Span.SPAN_KIND_SERVER)
    assert attributes(outer) == {
        "http.request.method": "POST",
        "http.route": "/v1/prices",
        "http.response.status_code": 200,
        "model.version": "7",
        "request.id": "r-1",
        "prediction.id": answer.json()["id"],
    }
    assert (inner.name, attributes(inner)) == ("compute", {})
    assert (inner.trace_id, inner.parent_span_id) == (outer.trace_id, outer.span_id)
    line = next(fields(record) for record in access_records(caplog))
    assert line["trace_id"] == outer.trace_id.hex()
    assert (line["request_id"], line["prediction_id"]) == ("r-1", answer.json()["id"])
    told = answer.headers["traceresponse"]
    assert told == f"00-{outer.trace_id.hex()}-{outer.span_id.hex()}-03"  # sampled, and drawn at random
    assert receiver.services == {"demo"}


def test_a_request_that_waits_for_another_on_its_connection_has_a_trace_of_its_own(receiver, web):
    body = json.dumps(HOUSES).encode()
    head = b"POST /v1/prices HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    asked = head % len(body)
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        seen = talk(client.base_url.port, asked + b"\r\n" + body + asked + b"Connection: close\r\n\r\n" + body)
    assert [answer[0] for answer in seen] == [200, 200]
    outer = [span for span in receiver.spans if span.name == "POST /v1/prices"]
    assert [span.parent_span_id for span in outer] == [b"", b""]
    assert len({span.trace_id for span in receiver.spans}) == 2


@pytest.mark.parametrize(
    ("headers", "inherited", "spans"),
    [
        ([("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "a=1"), ("tracestate", "b=2")], True, 2),
        ([("traceparent", f"00-{TRACE}-{PARENT}-00")], True, 0),
        ([("traceparent", f"00-{TRACE}-{PARENT}")], False, 2),
        ([("traceparent", f"00-{'0' * 32}-{PARENT}-01")], False, 2),
        ([("traceparent", f"00-{TRACE}-{PARENT}-01")] * 2, False, 2),
        ([("traceparent", "\xff")], False, 2),
    ],
    ids=["sampled", "not sampled", "cut off", "zeros", "twice", "no text"],
)
def test_the_header_traceparent_is_followed_where_it_is_well_formed(receiver, web, headers, inherited, spans):
    raw = [(name, value.encode("latin-1")) for name, value in headers]
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        answer = client.post("/v1/prices", json=HOUSES, headers=raw)
    assert answer.status_code == 200
    trace, span, flags = told_by(answer)
    assert (trace == TRACE) == inherited
    assert int(flags, 16) & 1 == bool(spans)
    assert len(receiver.spans) == spans
    if spans:
        outer = next(each for each in receiver.spans if each.span_id.hex() == span)
        assert outer.parent_span_id.hex() == (PARENT if inherited else "")
        assert outer.trace_state == (",".join(value for name, value in headers if name == "tracestate"))


@pytest.mark.parametrize("state", ["secret=1,secret=2", "secret"])
def test_a_malformed_tracestate_is_not_written_into_the_log(receiver, web, caplog, state):
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": state}
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        assert told_by(client.post("/v1/prices", json=HOUSES, headers=headers))[0] == TRACE
    assert "secret" not in caplog.text


def test_a_share_of_the_requests_is_traced_where_opentelemetrys_variables_say_so(receiver, web, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        answers = [client.post("/v1/prices", json=HOUSES) for _ in range(40)]
    sampled = [trace for trace, _, flags in (told_by(answer) for answer in answers) if int(flags, 16) & 1]
    assert 0 < len(sampled) < 40
    assert {span.trace_id.hex() for span in receiver.spans} == set(sampled)


def test_a_failure_is_told_by_its_type_and_no_span_holds_what_was_sent(receiver, web):
    def fail(areas: list[float]) -> list[float]:
        raise RuntimeError(f"secret {areas}")

    models = FakeHolder()
    models.loaded = models.loaded.__class__(**{**vars(models.loaded), "predictor": fail})
    with serving(create_app(traced(receiver.uri), models, web)) as client:
        assert_problem(client.post("/v1/prices", json={"houses": [house(area=4321.0)]}), 500)
        assert_problem(client.get("/v1/users/secret"), 422)
        assert_problem(client.get("/v1/users/404"), 404)
        assert_problem(client.get("/v1/secret?secret=1"), 404)
        assert_problem(client.post("/v1/prices", json={"secret": 1}, headers={"X-Subject": "secret"}), 422)

    compute = next(span for span in receiver.spans if span.name == "compute")
    assert attributes(compute) == {"error.type": "RuntimeError"}
    outer = {span.name: span for span in receiver.spans if span.name != "compute"}
    assert outer.keys() == {"POST /v1/prices", "GET /v1/users/{user_id}", "GET unmatched"}
    failed = {attributes(span)["http.response.status_code"] for span in receiver.spans if span.status.code}
    assert failed == {500}
    assert {span.status.code for span in receiver.spans} == {Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR}
    everything = "".join(map(str, receiver.spans))
    assert "secret" not in everything
    assert "4321" not in everything


@pytest.mark.long
@pytest.mark.slow
def test_mlflow_finds_the_trace_of_a_request_by_its_id(mlflow_server, small_model, running_service, tmp_path):
    small = small_model("housing")
    with tracking_client(mlflow_server) as mlflow:
        if mlflow.get_experiment_by_name("housing") is None:
            mlflow.create_experiment("housing")
        settings = {"bundle": small.bundle, "tracking_uri": mlflow_server, "trace_uri": f"{mlflow_server}/v1/traces"}
        with running_service("housing", tmp_path, **settings) as service:
            service.wait_for("/readyz")
            headers = {"content-type": small.request.content_type}
            answer = service.client.post(small.request.path, content=small.request.body, headers=headers)
            assert answer.status_code == 200
        (line,) = [line for line in service.log() if line.get("route") == small.request.path]

        trace = mlflow.get_trace(f"tr-{line['trace_id']}")

    spans = {span.name: span for span in trace.data.spans}
    outer, inner = spans[f"POST {small.request.path}"], spans["compute"]
    assert len(spans) == 2
    assert (outer.parent_id, inner.parent_id) == (None, outer.span_id)
    assert outer.get_attribute("prediction.id") == line["prediction_id"] == answer.json()["id"]
    assert outer.get_attribute("model.version") == answer.json()["model"]["version"]
    assert outer.start_time_ns <= inner.start_time_ns < inner.end_time_ns <= outer.end_time_ns


def test_mlflow_is_asked_for_the_experiment_and_headers_of_the_settings_go_first(receiver, web):
    for settings, expected in (
        (traced(receiver.uri), "3"),
        (traced(receiver.uri, trace_headers={"X-MLflow-Experiment-ID": "8", "authorization": "Bearer s3cret"}), "8"),
        (DemoSettings(trace_uri=f"{receiver.uri}/v1/traces"), None),  # another server than the registry
    ):
        with serving(create_app(settings, web=web)) as client:
            client.post("/v1/prices", json=HOUSES)
        sent = receiver.headers.pop()
        assert sent.get("x-mlflow-experiment-id") == expected
        assert sent.get("authorization") == ("Bearer s3cret" if expected == "8" else None)
        assert "s3cret" not in repr(settings)


@pytest.fixture
def soon(monkeypatch) -> None:
    """Few spans may wait, and they are sent at once."""
    monkeypatch.setattr("portfolio_shared.serving.tracing.FLUSH_SECONDS", 0.5)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")


@pytest.mark.long
@pytest.mark.parametrize("dead", ["refuses", "is silent", "does not know the experiment"])
def test_a_dead_receiver_changes_no_answer_and_holds_up_no_end(receiver, web, caplog, soon, dead):
    receiver.status = 404
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        port = {"refuses": 1, "is silent": silent.getsockname()[1]}.get(dead, receiver.server_port)
        with serving(create_app(traced(f"http://me:s3cret@127.0.0.1:{port}"), web=web)) as client:
            answers = [client.post("/v1/prices", json=HOUSES) for _ in range(40)]
            eventually(lambda: "traces are not sent" in caplog.text)
            ending = time.perf_counter()
        assert time.perf_counter() - ending < 5
    assert {(answer.status_code, *answer.json()["prices"]) for answer in answers} == {(200, 12000.0)}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 1
    (line,) = [record for record in caplog.records if "traces are not sent" in record.getMessage()]
    assert line.levelname == "ERROR"
    assert "s3cret" not in caplog.text


def test_a_receiver_that_comes_back_gets_what_is_traced_from_then_on(receiver, web, caplog, soon):
    caplog.set_level(logging.INFO, logger="portfolio_shared.serving.tracing")
    receiver.status = 503
    with serving(create_app(traced(receiver.uri), web=web)) as client:
        client.post("/v1/prices", json=HOUSES)
        eventually(lambda: "503" in caplog.text)
        receiver.status = 200
        answer = client.post("/v1/prices", json=HOUSES)
        eventually(lambda: "sent again" in caplog.text)
    trace, *_ = told_by(answer)
    assert [span.name for span in receiver.spans if span.trace_id.hex() == trace] == ["compute", "POST /v1/prices"]
