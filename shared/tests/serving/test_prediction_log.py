"""The prediction log in process: what is written, what is dropped and counted, and when."""

import logging
import threading
import time
import uuid

import pytest
from demo_service import eventually
from hypothesis import given
from hypothesis import strategies as st

from portfolio_shared.operations.database import ConnectionLostError, RefusedRowError, StoreError
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.serving import prediction_log as log_module
from portfolio_shared.serving.prediction_log import PredictionLog, Waiting, hashed_subject, new_id, time_of


class FakeStore:
    """A store that fails, is slow, or breaks, as the test wants."""

    def __init__(self):
        self.rows: list[LoggedPrediction] = []
        self.retained: list[tuple[str, float, float]] = []
        self.connections = self.closed = 0
        self.error: Exception | None = None
        self.refused: set[str] = set()
        self.free = threading.Event()
        self.free.set()

    def connect(self, url):
        assert url == "fake"
        self.connections += 1
        if self.error:
            raise self.error
        return self

    def insert(self, rows):
        rows = list(rows)
        self.free.wait()
        if self.error:
            raise self.error
        if any(row.id in self.refused for row in rows):
            raise RefusedRowError("refused")
        self.rows += rows

    def retain(self, model, *, since, megabytes):
        self.retained.append((model, since, megabytes))

    def close(self):
        self.closed += 1


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def log(store, monkeypatch):
    """Return a log that runs and looks every hundredth of a second."""
    monkeypatch.setattr(log_module, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(log_module, "LOOK_SECONDS", 0.01)
    log = PredictionLog("fake", model="toy", days=2.0, megabytes=3.0, connect=store.connect)
    log.start()
    yield log
    store.free.set()
    log.close()


def row(number: int, *, size: int = 2) -> Waiting:
    return Waiting(f"{number:03}", 1.0, "7", "/v1/prices", "", 1, 2.5, b"r" * size, "ü".encode())


# Ids and subjects


@given(st.floats(0, 2**47 / 1000))
def test_an_id_says_when_it_was_made_and_sorts_by_it(now):
    made = new_id(now=now)
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert time_of(made) == int(now * 1000) / 1000
    assert made < new_id(now=now + 0.002)


def test_ids_are_not_repeated_and_not_guessed():
    ids = [new_id(now=1.0) for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert ids != sorted(ids)


@pytest.mark.parametrize("text", ["66f109f6-0ff1-492e-8a45-2e59036494e4", "x", ""])
def test_what_is_no_id_of_ours_has_no_time(text):
    with pytest.raises(ValueError, match="UUID"):
        time_of(text)


def test_a_subject_is_kept_as_a_keyed_hash_or_not_at_all():
    kept = hashed_subject(b"ann@example.org", "key")
    assert kept == hashed_subject(b"ann@example.org", "key")
    assert len({kept, hashed_subject(b"bob@example.org", "key"), hashed_subject(b"ann@example.org", "other")}) == 3
    assert hashed_subject(b"", "key") == hashed_subject(b"ann@example.org", "") == ""


# What is written


def test_many_bytes_do_not_wait_their_half_second_in_memory(log, store, monkeypatch):
    monkeypatch.setattr(log_module, "WRITE_SECONDS", 60.0)
    monkeypatch.setattr(log_module, "WRITE_BYTES", 1_000)
    log.add(row(1, size=500))
    time.sleep(0.1)
    assert store.rows == []
    log.add(row(2, size=501))
    eventually(lambda: len(store.rows) == 2)


def test_rows_are_written_in_order_as_text(log, store):
    for number in range(50):
        log.add(row(number))
    eventually(lambda: log.written == 50)
    assert [written.id for written in store.rows] == [f"{number:03}" for number in range(50)]
    assert store.rows[7] == LoggedPrediction("007", 1.0, "toy", "7", "/v1/prices", "", 1, 2.5, "rr", "ü")
    assert log.dropped == {"full": 0, "database": 0}


def test_what_waits_at_the_end_is_written(store):
    log = PredictionLog("fake", model="toy", days=2.0, megabytes=3.0, connect=store.connect)
    log.start()
    log.add(row(1))
    log.close()
    assert log.written == len(store.rows) == 1
    assert store.closed == 1


def test_what_cannot_be_written_until_the_end_is_said(store, caplog):
    store.error = StoreError("away")
    log = PredictionLog("fake", model="toy", days=2.0, megabytes=3.0, connect=store.connect)
    log.start()
    log.add(row(1))
    log.close()
    assert "1 predictions are lost: they could not be written until the end" in caplog.text


def test_an_outage_loses_nothing_that_fits_and_is_reported_once(log, store, caplog):
    caplog.set_level(logging.INFO)
    store.error = StoreError("away")
    for number in range(5):
        log.add(row(number))
        time.sleep(0.03)
    eventually(lambda: store.connections > 3)
    assert (log.written, store.rows) == (0, [])
    store.error = None
    eventually(lambda: log.written == 5)
    assert [written.id for written in store.rows] == ["000", "001", "002", "003", "004"]
    messages = [record.message for record in caplog.records]
    assert messages == ["predictions are not written: away", "predictions are written again"]


@pytest.mark.parametrize(
    ("reason", "limit", "value"),
    [
        ("database", "CAPACITY", 3),
        ("full", "CAPACITY", 3),
        ("database", "CAPACITY_BYTES", 320),
        ("full", "CAPACITY_BYTES", 320),
    ],
)
def test_more_than_fits_is_dropped_and_counted_and_room_comes_back(log, store, reason, limit, value):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log_module, limit, value)
        check_capacity(log, store, reason)


def check_capacity(log, store, reason):
    if reason == "database":
        store.error = StoreError("away")
        eventually(lambda: log._failing)
    else:
        store.free.clear()  # a write that lasts
    for number in range(10):
        log.add(row(number, size=100))
    assert sum(log.dropped.values()) >= 10 - 2 * 3  # the writer may have taken some in time
    before = log.dropped[reason]
    log.add(row(10, size=100))
    assert log.dropped == {"full": 0, "database": 0} | {reason: before + 1}
    store.error = None
    store.free.set()
    eventually(lambda: log.written + sum(log.dropped.values()) == 11)
    for _ in range(4):
        written = log.written
        log.add(row(11, size=100))
        eventually(lambda: log.written == written + 1)  # noqa: B023 - asked at once


def test_rows_of_a_write_that_hangs_are_counted_in_what_fits(log, store, monkeypatch):
    monkeypatch.setattr(log_module, "CAPACITY", 3)
    store.free.clear()
    for number in range(3):
        log.add(row(number))
    eventually(lambda: not log._waiting or log._waiting[0].id != "000")  # the writer has taken some
    log.add(row(3))
    assert log.dropped == {"full": 1, "database": 0}
    store.free.set()
    eventually(lambda: log.written == 3)


def test_a_row_that_the_database_refuses_takes_no_other_with_it(log, store, caplog):
    store.refused = {"003", "006"}
    store.free.clear()
    for number in range(10):
        log.add(row(number))
    store.free.set()
    eventually(lambda: log.written + log.dropped["database"] == 10)
    assert [written.id for written in store.rows] == [f"{i:03}" for i in range(10) if i not in (3, 6)]
    assert (log.written, log.dropped) == (8, {"full": 0, "database": 2})
    assert caplog.text.count("a prediction is lost: refused") == 2


def test_a_mistake_in_the_code_ends_no_thread(log, store, caplog):
    store.error = TypeError("a mistake")
    log.add(row(1))
    eventually(lambda: log.dropped["database"] == 1)
    assert "1 predictions are lost" in caplog.text
    assert "a mistake" in caplog.text
    store.error = None
    log.add(row(2))
    eventually(lambda: log.written == 1)


def test_old_rows_go_at_the_start_and_from_time_to_time(log, store, monkeypatch):
    eventually(lambda: store.retained)
    ((model, since, megabytes),) = store.retained
    assert (model, megabytes) == ("toy", 3.0)
    assert since == pytest.approx(time.time() - 2 * 86_400, abs=60)
    time.sleep(0.1)
    assert len(store.retained) == 1
    monkeypatch.setattr(log_module, "RETAIN_SECONDS", 0.01)
    eventually(lambda: len(store.retained) > 3)


# Questions


def test_a_question_after_a_failure_gets_a_new_connection(log, store):
    eventually(lambda: store.retained)
    before = store.connections
    assert log.ask(lambda asked: asked) is store

    def fail(_):
        raise StoreError("lost")

    with pytest.raises(StoreError, match="lost"):
        log.ask(fail)
    assert store.closed == 1
    assert log.ask(len_of_rows) == log.ask(len_of_rows) == 0
    assert store.connections == before + 2


@pytest.mark.parametrize(("failures", "works"), [(1, True), (2, False)])
def test_where_the_connection_has_ended_one_new_one_is_tried(log, store, failures, works):
    eventually(lambda: store.retained)
    log.ask(len_of_rows)
    before, ended = store.connections, [ConnectionLostError("ended")] * failures

    def ask(_):
        if ended:
            raise ended.pop()
        return "answer"

    if works:
        assert log.ask(ask) == "answer"
    else:
        with pytest.raises(StoreError, match="ended"):
            log.ask(ask)
    assert store.connections == before + 1
    assert ended == []


def len_of_rows(store):
    return len(store.rows)


def test_a_question_does_not_wait_for_ever_behind_one_that_hangs(log, store, monkeypatch):
    monkeypatch.setattr(log_module, "ASK_SECONDS", 0.05)
    store.free.clear()
    hanging = threading.Thread(target=log.ask, args=[lambda asked: asked.free.wait()])
    hanging.start()
    with pytest.raises(StoreError, match="busy"):
        log.ask(len_of_rows)
    log.close()  # nor does the end of the service
    store.free.set()
    hanging.join()
