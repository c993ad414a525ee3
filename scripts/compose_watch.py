"""The containers that watch, as scripts/compose_test.py asks them: prediction log, monitors, Prometheus, dashboards."""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx

from compose_stack import ROOT, Stack, example_request, require, require_equal
from processes import get

ASKED = 120  # more than a monitor needs to judge
# What came true of the example, for the projects that ship.
TRUTHS: dict[str, dict[str, Any]] = {
    "housing": {"price": 200_000.0},
    "image-classifier": {"label": None},
    "recommender": {"watched": [{"film_id": 1, "liked": True}]},
}
TOLD = 40
# A number of the example, and what stands in its place the i-th time: a monitor counts the same request once.
VARIED: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "housing": (b'"lot_area": 8450', lambda i: b'"lot_area": %d' % (8450 + i)),
    "image-classifier": (b"JFIF\0\1\1\0\0\1", lambda i: b"JFIF\0\1\1\0" + (1 + i).to_bytes(2)),  # the density
    "recommender": (b'"rating": 4.5', lambda i: b'"rating": %.2f' % (4.5 - i / 100)),
}


def watched(stack: Stack) -> None:
    """Ask, say what came true, let the monitors look: reports, an alarm for drift, a series for all that is drawn."""
    told = {service: ask(stack, service) for service in stack.services}
    stack.compose("restart", *stack.monitors)
    for service, monitor in zip(stack.services, stack.monitors, strict=True):
        stack.wait(f"a look of {monitor}", partial(has_judged, stack, monitor), 120)
        require("<html" in stack.get(monitor).text, f"{monitor} shows no report")
        experiment = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={service}-monitoring"
        require(stack.answers("mlflow", experiment), f"MLflow has no run of {monitor}")
    rules = [rule for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]]
    written = (ROOT / "docker/alerts.yml").read_text(encoding="utf-8")
    require_equal(
        "alarms", {r["name"] for r in rules if r["type"] == "alerting"}, set(re.findall(r"alert: (.+)", written))
    )
    require_equal("rules", {rule["health"] for rule in rules}, {"ok"})
    # One example with little variation is no sample of what a model learned from.
    drift = 'ALERTS{alertstate="firing", alertname="Drift"}'
    stack.wait("an alarm for drift of each", lambda: projects_of(stack, drift) == set(stack.services))
    counted = f'sum by (project) (http_requests_total{{method="POST"}}) > {ASKED}'
    stack.wait("all requests counted", lambda: projects_of(stack, counted) == set(stack.services))
    for service in stack.services:
        stack.predict(service)  # a rate is that of what comes after a first count
    for expression in drawn():
        stack.wait(f"a series for {expression}", partial(has_series, stack, expression), 90)
    monitor = stack.monitors[0]
    said = stack.compose("run", "--rm", "--no-TTY", monitor, "forget", told[stack.services[0]])
    require(said.startswith("1 prediction"), f"{monitor} forgot something else: {said}")


def ask(stack: Stack, service: str) -> str:
    """Ask a service for its example with many values of a number, and say of some what came true; return an id."""
    example = example_request(service)
    with httpx.Client(base_url=stack.url(service), timeout=30, trust_env=False) as client:

        def post(path: str, content: bytes | str, content_type: str) -> httpx.Response:
            response = client.post(path, content=content, headers={"Content-Type": content_type})
            require(response.is_success, f"{service}{path}: {response.status_code} {response.text[:300]}")
            return response

        bodies = (varied(service, example.body, i) for i in range(ASKED))
        ids = [post(example.path, body, example.content_type).json()["id"] for body in bodies]
        for id_ in ids[:TOLD] if service in TRUTHS else []:
            post("/v1/feedback", json.dumps({"id": id_, "truth": TRUTHS[service]}), "application/json")
    return str(ids[-1])


def varied(service: str, body: bytes, i: int) -> bytes:
    """Return the body of an example as it is asked for the i-th time; spaces vary that of a project of others."""
    if service not in VARIED:
        return body + b" " * i
    number, other = VARIED[service]
    require(number in body, f"the example of {service} has no {number!r}: say in VARIED what varies it")
    return body.replace(number, other(i), 1)


def has_judged(stack: Stack, monitor: str) -> bool:
    """Return whether the last look of a monitor had rows enough."""
    return "monitor_drift_p{" in get(stack.ports[monitor], "/metrics")[1]


def prometheus(stack: Stack, path: str, **parameters: str) -> dict[str, Any]:
    """Return what Prometheus answers."""
    data: dict[str, Any] = stack.get("prometheus", f"/api/v1/{path}?{httpx.QueryParams(parameters)}").json()["data"]
    return data


def projects_of(stack: Stack, expression: str) -> set[str]:
    """Return the projects of the series of an expression."""
    return {series["metric"]["project"] for series in prometheus(stack, "query", query=expression)["result"]}


def drawn() -> Sequence[str]:
    """Return every expression of the dashboards, for all projects."""
    dashboards = [json.loads(path.read_bytes()) for path in sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))]
    targets = [target for dashboard in dashboards for panel in dashboard["panels"] for target in panel["targets"]]
    return [target["expr"].replace("$project", ".+") for target in targets]


def has_series(stack: Stack, expression: str) -> bool:
    """Return whether an expression has a number to show."""
    result = prometheus(stack, "query", query=expression)["result"]
    return any(not math.isnan(float(series["value"][1])) for series in result)
