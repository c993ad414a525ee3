"""Several processes on one port: what a client sees of them, of one that is killed, and of their end."""

import http.client
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from demo_process import Service
from demo_service import DemoSettings, eventually, house
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as Metric
from test_server import python

from portfolio_shared.serving import server
from portfolio_shared.serving.server import STARTUP_FAILURE
from portfolio_shared.serving.worker_metrics import SharedMetrics, Sums
from processes import wait_until_ready

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="several workers need Linux")
PRICES = 'http_requests_total{method="POST",route="/v1/prices",status="200",version="7"}'


class Counted:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Metric("requests", "", ["route"], registry=self.registry)
        self.seconds = Histogram("seconds", "", buckets=(1, 2), registry=self.registry)
        self.in_flight = Gauge("http_requests_in_flight", "", registry=self.registry)
        self.version = Gauge("model_info", "", ["version"], registry=self.registry)


def samples(sums: Sums) -> dict[str, float]:
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in sums.collect()
        for sample in family.samples
    }


def test_counters_and_histograms_are_sums_and_a_model_is_there_once():
    shared = SharedMetrics(2)
    workers = [Counted(), Counted()]
    first, second = (Sums(worker.registry, shared, number) for number, worker in enumerate(workers))
    for number, worker in enumerate(workers):
        worker.requests.labels("/a").inc(number + 1)
        worker.seconds.observe(number + 0.5)
        worker.in_flight.inc(3)
        worker.version.labels(str(number // 2)).set(1)
    second.publish()
    assert samples(first) == {
        "requests_total /a": 3,
        "seconds_bucket 1.0": 1,
        "seconds_bucket 2.0": 2,
        "seconds_bucket +Inf": 2,
        "seconds_count": 2,
        "seconds_sum": 2,
        "http_requests_in_flight": 6,
        "model_info 0": 1,
    }


def test_what_a_dead_worker_counted_stays_and_goes_over_to_the_next():
    shared, dead, other, fresh = SharedMetrics(2), Counted(), Counted(), Counted()
    dead.requests.labels("/a").inc(5)
    dead.in_flight.inc()
    assert not shared.bury(0), "it has not published yet"
    Sums(dead.registry, shared, 0).publish()
    assert shared.bury(0)
    seen = Sums(other.registry, shared, 1)
    assert (samples(seen)["requests_total /a"], samples(seen)["http_requests_in_flight"]) == (5, 0)
    fresh.requests.labels("/a").inc(2)
    assert samples(Sums(fresh.registry, shared, 0))["requests_total /a"] == 7
    assert samples(seen)["requests_total /a"] == 7


def test_metrics_that_do_not_fit_are_one_line_in_the_log_and_the_last_ones_stay(caplog):
    shared, worker = SharedMetrics(1), Counted()
    sums = Sums(worker.registry, shared, 0)
    worker.requests.labels("/a").inc()
    sums.publish()
    worker.requests.labels("x" * 2_000_000).inc()
    for _ in range(2):
        assert samples(sums)["requests_total /a"] == 1
    assert len(re.findall(r"more than the \d+ that a worker can share", caplog.text)) == 1
    worker.requests.clear()
    worker.requests.labels("/a").inc(2)
    assert samples(sums)["requests_total /a"] == 2


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("writings", [1, 2, 3])
def test_who_reads_while_another_writes_sees_the_old_or_the_new(writings, step):
    """Bytes may become visible in any order: here from the first one on, and from the last one on."""
    shared = SharedMetrics(1)
    old: list[object] = []
    for number in range(writings):
        old = shared.read(0)[0]
        before = bytes(shared._memory)
        shared.write(0, ["x" * 10**number])
    new, after = shared.read(0)[0], bytes(shared._memory)
    changed = [place for place in range(len(after)) if before[place] != after[place]]
    shared._memory[:] = before
    for place in changed[::step]:
        assert shared.read(0)[0] in (old, new)
        shared._memory[place] = after[place]
    assert shared.read(0)[0] == new


FORK = (
    "import sys\n"
    "from demo_service import DemoSettings\n"
    "from portfolio_shared.serving.workers import fork_workers\n"
    "worker = fork_workers(DemoSettings(workers=2, port=0), drain_seconds=5)\n"
    "sys.exit(7)\n"
)


def test_workers_are_forked_before_what_may_start_threads_is_loaded(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(server, "configure_logging", lambda _: None)
    monkeypatch.setattr(server, "fork_workers", lambda *_, **__: sys.exit(7))
    with pytest.raises(SystemExit, match="7"):
        server.serve("no_module_of_this_name:create_app", DemoSettings(workers=2))


@linux
@pytest.mark.long
def test_workers_that_cannot_start_end_the_service_with_their_status():
    done = python(FORK)
    assert done.returncode == 7
    assert re.search(r"worker \d \(process \d+\) did not start: it ended with status 7, and so all do", done.stderr)


@pytest.fixture
def service(tmp_path):
    log = f"sqlite:///{tmp_path}/log.db"
    service = Service(tmp_path, DEMO_WORKERS="2", DEMO_PREDICTION_LOG=log)
    with service.process:
        wait_until_ready(service.process, service.port, "/healthz", interval=0.05)
        eventually(lambda: service.process.log.read_text().count("Application startup complete") == 2)
        yield service


def workers_of(service) -> list[int]:
    pid = service.process.popen.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def ask(connection: http.client.HTTPConnection) -> None:
    body = json.dumps({"houses": [house()]})
    connection.request("POST", "/v1/prices", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert (response.status, bool(response.read())) == (200, True)


def counted(service) -> float:
    found = re.search(rf"^{re.escape(PRICES)} (\S+)$", service.request("GET", "/metrics").body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@linux
@pytest.mark.long
def test_one_worker_that_is_killed_takes_no_request_of_the_other_with_it(service):
    """Each client keeps its connection; those of the worker that was killed connect again, and are answered."""
    broken: Counter[int] = Counter()
    asked: Counter[int] = Counter()
    end = threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        while not end.is_set():
            try:
                ask(connection)
            except (http.client.HTTPException, OSError):
                broken[number] += 1
                connection.close()
            else:
                asked[number] += 1
        connection.close()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in clients:
        thread.start()
    eventually(lambda: len(asked) == len(clients))
    before, (victim, other) = counted(service), workers_of(service)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(workers_of(service)) == 2 and victim not in workers_of(service))
    time.sleep(1.5)
    end.set()
    for thread in clients:
        thread.join()

    assert set(broken.values()) <= {1, 2}  # twice where a client was back before the kernel had closed everything
    assert 0 < len(broken) < len(clients)
    assert other in workers_of(service)
    eventually(lambda: counted(service) > before)
    last = 0.0
    for _ in range(10):
        last, was = counted(service), last
        assert last >= was
    assert last <= asked.total()


@linux
@pytest.mark.long
def test_metrics_are_sums_predictions_are_logged_once_and_sigterm_ends_all_with_0(service, tmp_path):
    for _ in range(40):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        ask(connection)
        connection.close()
    eventually(lambda: counted(service) == 40)
    assert {counted(service) for _ in range(10)} == {40}
    workers = workers_of(service)
    code, lines = service.stop()
    assert code == 0
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
    assert not [line for line in lines if line["level"] in {"error", "critical"}]
    kept = python(f"import sqlite3; print(sqlite3.connect({f'{tmp_path}/log.db'!r}).execute('{LOGGED}').fetchone())")
    assert kept.stdout == "(40, 40)\n"


LOGGED = "SELECT COUNT(*), COUNT(DISTINCT id) FROM predictions"


@linux
@pytest.mark.long
def test_workers_end_with_their_parent_and_share_their_port_with_no_other_service(service, tmp_path):
    (tmp_path / "second").mkdir()
    second = Service(tmp_path / "second", DEMO_WORKERS="2", DEMO_PORT=str(service.port))
    assert second.process.popen.wait(timeout=30) == STARTUP_FAILURE
    workers = workers_of(service)
    service.process.popen.kill()
    eventually(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])
