"""The prediction log of a service process under traffic: killed, its disk full, its PostgreSQL stopped and started."""

import http.client
import json
import re
import signal
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
from demo_process import Service
from demo_service import eventually
from postgresql_server import PASSWORD

from portfolio_shared.operations.store import connect
from portfolio_shared.serving.prediction_log import WRITE_SECONDS, time_of
from processes import wait_until_ready

pytestmark = pytest.mark.long

BODY = json.dumps({"houses": [{"area": 120.0, "year_built": 1990}]})
JSON = {"Content-Type": "application/json"}
ROWS = re.compile(r'^prediction_log_rows_total\{outcome="(\w+)"\} (\S+)', re.MULTILINE)


class Traffic:
    """Two clients that ask for prices one after another; a lost connection ends a client.

    Attributes
    ----------
    ids
        Of the predictions that were answered, in order for each client.
    failed
        Answers with another status than 200.
    """

    def __init__(self, service):
        self.ids: list[str] = []
        self.failed: list[tuple[int, bytes]] = []
        self._service = service
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def _ask(self):
        with closing(http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=30)) as connection:
            while not self._end.wait(0.002):
                try:
                    connection.request("POST", "/v1/prices", BODY, JSON)
                    response = connection.getresponse()
                    body = response.read()
                except (OSError, http.client.HTTPException):
                    return
                if response.status == 200:
                    self.ids.append(json.loads(body)["id"])
                else:
                    self.failed.append((response.status, body))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, count=100):
        """Return after so many further answers."""
        before = len(self.ids)
        eventually(lambda: len(self.ids) >= before + count)


@pytest.fixture
def start_service(tmp_path):
    """Return a function that starts the demo with a prediction log; what it starts is stopped."""
    started = []

    def start(url, **variables):
        folder = tmp_path / f"service{len(started)}"
        folder.mkdir()
        service = Service(folder, DEMO_PREDICTION_LOG=url, DEMO_LOG_LEVEL="error", **variables)
        started.append(service)
        wait_until_ready(service.process, service.port, "/healthz", interval=0.05)
        return service

    yield start
    for service in started:
        service.stop(signal.SIGKILL)


def logged(url):
    with closing(connect(url)) as store:
        return [row.id for row in store.predictions("demo", since=0, until=1e12)]


def outcomes(service):
    text = service.request("GET", "/metrics").body.decode()
    return {name: int(float(value)) for name, value in ROWS.findall(text)}


def all_written(service, traffic):
    return outcomes(service)["written"] == len(traffic.ids)


def say(service, prediction):
    body = json.dumps({"id": prediction, "truth": {"price": 1.0}})
    return service.request("POST", "/v1/feedback", body, JSON).status


def test_kill_9_loses_the_last_half_second_and_the_database_opens_clean(start_service, tmp_path):
    url, before = f"sqlite:///{tmp_path}/log.db", set[str]()
    for _ in range(3):
        service = start_service(url)
        with Traffic(service) as traffic:
            time.sleep(1.7)
            killed = time.time()
            service.process.popen.kill()
        assert traffic.failed == []
        with closing(sqlite3.connect(tmp_path / "log.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = set(logged(url))
        assert before <= kept  # what was there stays
        lost = [each for each in traffic.ids if each not in kept]
        new = [each for each in traffic.ids if each in kept]
        assert len(new) > 50
        assert all(killed - time_of(each) < WRITE_SECONDS + 0.3 for each in lost)  # and a look, and a write
        before = kept


@pytest.mark.skipif(sys.platform != "linux", reason="a limit is set on another process, which only Linux lets one do")
def test_a_full_disk_fails_no_request_and_nothing_is_lost_when_there_is_space_again(start_service, tmp_path):
    import resource

    url = f"sqlite:///{tmp_path}/log.db"
    service = start_service(url)
    pid = service.process.popen.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (150_000, limits[1]))  # bytes that a file may have
    assert service.process.log is not None
    with Traffic(service) as traffic:
        eventually(lambda: "predictions are not written" in service.process.log.read_text())
        traffic.goes_on()
        assert say(service, traffic.ids[0]) in {202, 503}  # a row that was written may still find space
        assert outcomes(service)["written"] < len(traffic.ids)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        traffic.goes_on()
    assert traffic.failed == []
    eventually(lambda: all_written(service, traffic))
    assert say(service, traffic.ids[-1]) == 202
    code, lines = service.stop()
    assert code == 0
    assert not [line for line in lines if "traceback" in line]
    assert sorted(logged(url)) == sorted(traffic.ids)
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_flood_of_feedback_while_the_database_hangs_fails_no_prediction(start_service, tmp_path):
    url = f"sqlite:///{tmp_path}/log.db"
    service = start_service(url, DEMO_MAX_CONCURRENT_REQUESTS="8")
    with Traffic(service) as traffic:
        eventually(lambda: outcomes(service)["written"] > 50)
        told, said = traffic.ids[0], []
        with closing(connect(url)) as other, ThreadPoolExecutor(24) as clients, other.database.transaction():
            flood = [clients.submit(lambda: said.append(say(service, told))) for _ in range(48)]
            traffic.goes_on(300)
            wait(flood)
        assert set(said) == {503}
        traffic.goes_on()
    assert traffic.failed == []
    eventually(lambda: all_written(service, traffic))
    assert say(service, told) == 202


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_postgresql_that_goes_and_comes_back_fails_no_request_and_costs_no_row(start_service, postgresql, number):
    url = postgresql.new_database(f"outage{number:d}")
    service = start_service(url)
    with Traffic(service) as traffic:
        eventually(lambda: outcomes(service)["written"] > 50)
        assert say(service, traffic.ids[0]) == 202
        postgresql.stop(number)
        traffic.goes_on()
        assert say(service, traffic.ids[1]) == 503
        postgresql.start()
        traffic.goes_on()
    assert traffic.failed == []
    eventually(lambda: all_written(service, traffic))
    assert say(service, traffic.ids[1]) == 202
    code, lines = service.stop()
    assert code == 0
    assert [line["message"] for line in lines if line["logger"].endswith("prediction_log")] != []
    assert not [line for line in lines if "traceback" in line]
    assert PASSWORD not in str(lines)
    assert sorted(logged(url)) == sorted(traffic.ids)  # each once: what was written twice is there once
    with closing(connect(url)) as store:
        assert len(list(store.feedback("demo", since=0, until=1e12))) == 2


def test_a_service_starts_without_its_postgresql_and_writes_when_it_comes(start_service, postgresql):
    url = postgresql.new_database("later")
    postgresql.stop()
    try:
        service = start_service(url)
        with Traffic(service) as traffic:
            traffic.goes_on()
    finally:
        postgresql.start()
    eventually(lambda: all_written(service, traffic))
    assert sorted(logged(url)) == sorted(traffic.ids)
    assert traffic.failed == []
