"""A service with a shadow, as processes: whatever the challenger does, the champion answers, and it is counted."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from demo_process import Service
from demo_service import eventually

from processes import wait_until_ready

pytestmark = pytest.mark.long

BODY = json.dumps({"houses": [{"area": 120.0, "year_built": 1990}]})
JSON = {"Content-Type": "application/json"}
COUNTS = re.compile(r'^shadow_requests_total\{outcome="(\w+)"\} (\S+)', re.MULTILINE)


@pytest.fixture
def shadowed(tmp_path):
    """Return a function: kind of challenger -> service with it as a shadow."""
    services = []

    def start(kind, **variables):
        url = f"sqlite:///{tmp_path}/log.db"
        service = Service(
            tmp_path, factory="shadow_demo:create_app", KIND=kind, DEMO_ROLLOUT="shadow", DEMO_PREDICTION_LOG=url
        )
        services.append(service)
        wait_until_ready(service.process, service.port, "/healthz", interval=0.05)
        return service

    yield start
    for service in services:
        service.process.__exit__()


def ask(service, n_requests=1, path="/v1/prices", method="POST", body=BODY):
    return [service.request(method, path, body, JSON) for _ in range(n_requests)]


def counts(service):
    text = service.request("GET", "/metrics").body.decode()
    said = {name: float(value) for name, value in COUNTS.findall(text) if float(value)}
    deaths = re.search(r"^shadow_process_deaths_total (\S+)", text, re.MULTILINE)
    return said | ({"deaths": float(deaths[1])} if deaths and float(deaths[1]) else {})


def children(service):
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, parent in map(str.split, listed.splitlines()) if int(parent) == service.process.popen.pid]


def alive(pid):
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return listed.strip() not in {"", "Z"}


def challenger(service):
    return json.loads(service.request("GET", "/v1/model").body)["rollout"]["challenger"]


def until(service, expected):
    for _ in range(400):
        if (found := counts(service)) == expected:
            return
        time.sleep(0.05)
    raise AssertionError(f"{found}, expected {expected}")


def test_predictions_alone_are_mirrored_and_each_has_its_pair(shadowed, tmp_path):
    service = shadowed("good")
    eventually(lambda: challenger(service) == "8")
    answers = ask(service, 20)
    ids = [json.loads(answer.body)["id"] for answer in answers]
    feedback = json.dumps({"id": ids[0], "truth": {"price": 1}})
    eventually(lambda: ask(service, path="/v1/feedback", body=feedback)[0].status in {200, 202})
    for method, path, body in [("GET", "/v1/users/1", None), ("HEAD", "/v1/prices", None), ("POST", "/v1/prices", "{")]:
        ask(service, path=path, method=method, body=body)
    until(service, {"answered": 20})
    with closing(sqlite3.connect(tmp_path / "log.db")) as log:
        pairs = log.execute(
            "SELECT p.version, s.version, p.response, s.response "
            "FROM predictions p JOIN shadows s ON s.prediction = p.id"
        ).fetchall()
    assert [(pair[0], pair[1]) for pair in pairs] == [("7", "8")] * 20
    assert {json.loads(pair[2])["prices"][0] for pair in pairs} == {12_000.0}
    assert {json.loads(pair[3])["prices"][0] for pair in pairs} == {0.0}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("raises", {"failed": 30}),
        ("missing", {"no_challenger": 30}),
    ],
)
def test_a_challenger_without_answers_costs_the_champion_nothing_and_is_counted(shadowed, kind, expected):
    service = shadowed(kind)
    assert {answer.status for answer in ask(service, 30)} == {200}
    until(service, expected)
    assert challenger(service) == (None if kind == "missing" else "8")
    _, lines = service.stop()
    errors = [line for line in lines if line["level"] == "error"]
    assert [line["process"] for line in errors] == ["challenger"] * (kind == "raises")  # one line, not thirty


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("hangs", "SIGALRM"), ("spins", "SIGPROF"), ("dies", "code 7"), ("leaks", "code 1"), ("killed", "SIGKILL")],
)
def test_a_challenger_whose_process_ends_is_replaced(shadowed, kind, ending):
    service = shadowed("good" if kind == "killed" else kind)
    eventually(lambda: challenger(service) == "8")
    (first,) = children(service)
    if kind == "killed":
        subprocess.run(["kill", "-9", str(first)], check=True)
    assert {answer.status for answer in ask(service, 30)} == {200}
    eventually(lambda: counts(service).get("deaths"))
    assert {answer.status for answer in ask(service, 30)} == {200}
    eventually(lambda: children(service) not in ([], [first]))
    _, lines = service.stop()
    assert [line["message"] for line in lines if line["logger"] == "portfolio_shared.serving.shadow"] == [
        f"the challenger's process has ended ({ending}) and is started again after a pause"
    ]


@pytest.mark.parametrize(
    ("kind", "number", "to"),
    [
        ("good", signal.SIGTERM, os.kill),
        ("good", signal.SIGTERM, os.killpg),  # as `make up` has it
        ("good", signal.SIGINT, os.killpg),  # as a terminal has it
        ("hangs", signal.SIGTERM, os.killpg),
        ("hangs", signal.SIGKILL, os.kill),
    ],
)
def test_no_process_is_left(shadowed, kind, number, to):
    service = shadowed(kind)
    eventually(lambda: challenger(service) == "8")
    (child,) = children(service)
    ask(service, 10)
    to(service.process.popen.pid, number)
    code, lines = service.process.popen.wait(timeout=30), service.stop()[1]
    assert code == (-number if number == signal.SIGKILL else 0)
    eventually(lambda: not alive(child))
    assert not [line for line in lines if line["level"] == "error"]


def test_answers_in_progress_at_sigterm_are_written(shadowed, tmp_path):
    service = shadowed("good")
    eventually(lambda: challenger(service) == "8")
    ask(service, 10)
    time.sleep(0.3)  # for what was answered to reach the process
    service.stop()
    with closing(sqlite3.connect(tmp_path / "log.db")) as log:
        assert log.execute("SELECT COUNT(*) FROM shadows").fetchone() == (10,)
