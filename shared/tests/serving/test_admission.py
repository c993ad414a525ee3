"""A service lets in what it can answer soon, refuses the rest for next to nothing, and no kind keeps out another.

The clock and the event loop are the tests' own.
"""

import json
import logging
import re
from contextlib import ExitStack
from pathlib import Path

import demo_process
import pytest
from demo_service import DemoSettings, fields, house

from portfolio_shared.serving import admission, refusals
from portfolio_shared.serving.admission import ACTIVE_SECONDS, HEAVY_BYTES, LEAST_STARTS, Admission
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.schemas import ExampleRequest
from processes import wait_until_ready

ROOT = Path(__file__).parents[3]
URL = b"/v1/prices"


class Loop:
    """An event loop that calls what is due when it is told to."""

    def __init__(self):
        self.soon, self.later = [], []

    def call_soon(self, call):
        self.soon.append(call)

    def call_later(self, seconds, call):
        self.later.append((seconds, call))

    def turn(self):
        due, self.soon = self.soon, []
        for call in due:
            call()

    def pass_time(self, seconds):
        """Call what is due within so many seconds."""
        due, self.later = (
            [(at, call) for at, call in self.later if at <= seconds],
            [(at, call) for at, call in self.later if at > seconds],
        )
        for _, call in due:
            call()


@pytest.fixture(autouse=True)
def loop(monkeypatch):
    loop = Loop()
    for module in (admission, refusals):
        monkeypatch.setattr(module, "get_running_loop", lambda: loop)
    return loop


class Service:
    """An admission, its clock, and what it has sent and counted."""

    def __init__(self, **settings):
        self.now = 0.0
        self.sent: list[bytes] = []
        self.counted: dict[str, int] = {}
        self.admission = Admission(DemoSettings(**settings), self.counted.__setitem__, clock=lambda: self.now)

    def enter(self, length=0, *, answered=True):
        """Take a place, and return what gives it back."""
        stack, scope = ExitStack(), {"state": {"predicted": ("7", 1)} if answered else {}}
        stack.enter_context(self.admission.place(scope, counted=True, feedback=False, length=length))
        return stack

    def enter_all(self, length=0):
        """Take places until there is none."""
        places: list[ExitStack] = []
        with pytest.raises(ProblemError, match="as much to do as it can"):
            places.extend(iter(lambda: self.enter(length), None))
        return places

    def learn(self, seconds, length=0, *, answered=True):
        """Answer requests one after the other, each in so many seconds, or refuse them."""
        for _ in range(50):
            with self.enter(length, answered=answered):
                self.now += seconds

    def refuses(self, length=0, *, method=b"POST", url=URL):
        return self.admission.refuses(method, url, length, self.sent.append)

    def start(self, begin, *, method="POST", path="/v1/prices"):
        scope = {"method": method, "path": path, "state": {}}
        self.admission.start(scope, 0, lambda: begin(scope), self.sent.append)


@pytest.mark.parametrize(
    ("seconds", "length", "expected"),
    [
        (0.001, 0, 64),  # 64 of these wait less than a second: the number is the bound
        (0.1, 0, 10),
        (0.1, HEAVY_BYTES, 10),
        (0.4, HEAVY_BYTES, 3),  # one in each thread, and one that waits for a thread: no thread is ever idle
        (30.0, HEAVY_BYTES, 3),
    ],
)
def test_as_many_are_let_in_as_are_answered_within_a_second(seconds, length, expected):
    service = Service(max_concurrent_requests=64, worker_threads=2)
    service.learn(seconds, length)
    service.now += 1.1 * ACTIVE_SECONDS
    places = service.enter_all(length)
    assert len(places) == pytest.approx(expected, abs=1 if expected == 10 else 0)
    places.pop().close()
    service.enter(length)


def test_a_batch_weighs_what_it_costs():
    service = Service(max_concurrent_requests=64, worker_threads=1)
    service.learn(0.1, 10 * HEAVY_BYTES)
    small, large = len(service.enter_all(HEAVY_BYTES)), len(Service(worker_threads=1).enter_all(HEAVY_BYTES))
    assert small >= 50 > large


def test_what_leaves_while_others_wait_tells_how_fast_they_leave_on_however_many_threads():
    service = Service(max_concurrent_requests=64, worker_threads=2)
    places = [service.enter(HEAVY_BYTES) for _ in range(3)]
    for _ in range(50):  # one leaves every 0.1 s, and each has been there for 0.3 s
        service.now += 0.1
        places.pop(0).close()
        places.append(service.enter(HEAVY_BYTES))
    assert len(places + service.enter_all(HEAVY_BYTES)) in range(9, 12)


@pytest.mark.parametrize(("seconds", "expected"), [(0.0001, 10), (10.0, 3)], ids=["no key", "timeout"])
def test_a_refusal_teaches_nothing_and_a_timeout_does(seconds, expected):
    service = Service(max_concurrent_requests=64, worker_threads=2)
    service.learn(0.1, HEAVY_BYTES)
    service.learn(seconds, HEAVY_BYTES, answered=False)
    assert len(service.enter_all(HEAVY_BYTES)) == pytest.approx(expected, abs=1 if expected == 10 else 0)


@pytest.mark.parametrize("first", [0, HEAVY_BYTES])
def test_a_kind_that_takes_every_place_leaves_as_many_as_the_other_asks_for_up_to_half(first):
    second = HEAVY_BYTES - first
    service = Service(max_concurrent_requests=8, worker_threads=8)
    places, others = service.enter_all(first), []
    assert len(places) == 8
    for place in places[:4]:
        assert service.refuses(second)
        place.close()
        assert service.refuses(first)  # it is for the other
        others.append(service.enter(second))
    assert service.refuses(second)
    assert service.refuses(first)
    service.now += 1.1 * ACTIVE_SECONDS
    places[4].close()
    assert not service.refuses(first)


@pytest.mark.parametrize("kind", [0, HEAVY_BYTES])
def test_of_few_places_one_large_request_does_not_take_half(kind):
    service = Service(max_concurrent_requests=8, worker_threads=2)
    service.enter(HEAVY_BYTES - kind).close()
    assert len(service.enter_all(kind)) == 7


@pytest.mark.parametrize(
    ("method", "url", "refused"),
    [
        (b"POST", URL + b"?a=1", True),
        (b"POST", b"/v1/feedbackX", True),
        (b"GET", URL, False),
        (b"POST", b"/v1/feedback", False),
        (b"POST", b"/v1/feedback?a=1", False),
        (b"POST", b"/other", False),
    ],
)
def test_only_predictions_are_refused(method, url, refused):
    service, begun = Service(max_concurrent_requests=1), []
    held = service.enter_all()
    assert service.refuses(method=method, url=url) == refused
    service.start(begun.append, method=method.decode(), path=url.partition(b"?")[0].decode())
    assert (not begun) == refused
    held.pop().close()


def test_refusals_are_sent_together_a_little_later_counted_and_logged_once(loop, caplog):
    service = Service(max_concurrent_requests=1)
    held = service.enter_all()
    for i in range(300):
        assert service.refuses(url=b"/v1/prices?a=1" if i < 200 else b"/v1/invented-%d" % i)
    held.pop().close()
    for _ in range(refusals.DELAY_TICKS):
        assert service.sent == []
        loop.pass_time(refusals.TICK_SECONDS)
    loop.pass_time(refusals.REPORT_SECONDS)
    assert loop.later == []
    assert len(service.sent) == 300
    assert len(set(service.sent)) == 1
    head, _, body = service.sent[0].partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    headers = dict(header.split(": ", 1) for header in headers)
    assert status == "HTTP/1.1 429 Too Many Requests"
    assert headers["content-length"] == str(len(body))
    assert headers["retry-after"] == "1"
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert json.loads(body)["instance"] == headers["x-request-id"] == fields(record)["request_id"]
    assert fields(record)["refused"] == 300
    assert service.counted["/v1/prices"] == 200
    assert sum(service.counted.values()) == 300
    assert len(service.counted) <= refusals.MOST_PATHS + 1


def test_a_turn_of_the_loop_begins_some_predictions_and_everything_else(loop):
    service, begun = Service(max_concurrent_requests=256), []
    for i in range(5 * LEAST_STARTS):
        service.start(lambda _, i=i: begun.append(i))
    service.start(lambda _: begun.append("healthz"), path="/healthz")
    assert begun == [*range(LEAST_STARTS), "healthz"]
    for turn in range(2, 6):
        service.now += 1.0  # whatever begins takes long
        loop.turn()
        assert len(begun) == turn * LEAST_STARTS + 1
    assert begun[-1] == 5 * LEAST_STARTS - 1
    loop.turn()
    loop.turn()
    assert loop.soon == []
    for _ in range(20):  # they take no time now: a turn begins one more than the one before
        service.start(lambda _: None)
        loop.turn()
    more = [service.start(begun.append) for _ in range(LEAST_STARTS + 5)]
    assert len(begun) == 5 * LEAST_STARTS + 1 + len(more)


def test_a_place_that_was_taken_at_the_start_is_held_once_and_given_back(loop):
    service, scopes = Service(max_concurrent_requests=2), []
    for _ in range(3):
        service.start(scopes.append)
    assert len(scopes) == 2
    for _ in range(refusals.DELAY_TICKS):
        loop.pass_time(1.0)
    assert len(service.sent) == 1  # it was full by then
    for scope, full in zip(scopes, (True, False), strict=True):
        with service.admission.place(scope, counted=True, feedback=False):
            assert service.refuses() == full
    assert len(service.enter_all()) == 2


@pytest.mark.long
def test_clients_that_ask_again_at_once_do_not_keep_a_service_from_answering(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from overload_client import Load, offer

    request = ExampleRequest("/v1/prices", json.dumps({"houses": [house()]}).encode())
    service = demo_process.Service(
        tmp_path, DEMO_LOG_LEVEL="warning", DEMO_PREDICTION_LOG="off", DEMO_MAX_CONCURRENT_REQUESTS="64"
    )
    try:
        wait_until_ready(service.process, service.port, "/healthz")
        alone, crowd, again = (
            offer(service.port, service.process.popen.pid, request, Load("", clients=clients), 2.0)
            for clients in (8, 300, 8)
        )
        metrics = service.request("GET", "/metrics").body.decode()
    finally:
        code, log = service.stop()
    (counted,) = re.findall(r'http_requests_total{.*route="/v1/prices",status="429".*} (.*)', metrics)
    assert float(counted) >= len(crowd.seconds[429]) > 300
    rates = [seen.answered / seen.elapsed for seen in (alone, crowd, again)]
    assert rates[1] > 0.25 * min(rates[0], rates[2])  # 0.1 where a refusal costs as much as an answer
    assert rates[2] > 0.25 * rates[0]
    assert crowd.lost == 0
    assert sorted(crowd.seconds) == [200, 429]
    assert code == 0
    assert 1 <= len([line for line in log if line["message"].startswith("requests were refused")]) <= 6
