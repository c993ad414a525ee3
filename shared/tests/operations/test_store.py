"""The store of predictions and feedback, on SQLite and on a real PostgreSQL."""

import itertools
import sqlite3
import threading
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from portfolio_shared.operations import store as store_module
from portfolio_shared.operations.database import StoreError
from portfolio_shared.operations.store import FEEDBACK_PER_ITEM, Feedback, LoggedPrediction, Store, connect


@pytest.fixture
def store(store_url):
    with closing(connect(store_url)) as store:
        yield store


def logged(name: str, at: float = 1.0, **changes: object) -> LoggedPrediction:
    usual = LoggedPrediction(name, at, "toy", "3", "/v1/prices", "", 2, 1.5, '{"a":1}', '{"b":2}')
    return usual._replace(**changes)


def said(prediction: str, truth: str, at: float, *, item: int = 0, client: str = "") -> Feedback:
    return Feedback(prediction, item, at, client, truth)


def ids(store: Store, model: str = "toy", *, since: float = 0.0, until: float = 1e12) -> list[str]:
    return [row.id for row in store.predictions(model, since=since, until=until)]


def truths(store: Store, **window: float) -> list[tuple[str, int, str]]:
    rows = list(store.feedback("toy", **{"since": 0.0, "until": 1e12} | window))
    assert all(about.id == given.prediction for about, given in rows)
    return [(given.prediction, given.item, given.truth) for _, given in rows]


def all_feedback(store: Store) -> list[str]:
    return [row[0] for row in store.execute("SELECT truth FROM feedback ORDER BY prediction, item, at")]


# Predictions


def test_a_prediction_comes_back_as_it_went_in(store):
    hostile = '{"name": "\\u0000 \\ud83d 🏠 \' ; DROP TABLE predictions -- ? %s %"}'
    rows = [logged("a", 1.25, subject="x", request=hostile, response=hostile), logged("b", 2.0, items=1000)]
    store.insert(rows)
    assert list(store.predictions("toy", since=0, until=10)) == rows


def test_an_id_that_is_there_stays_as_it_is(store):
    store.insert([logged("a", response="first")])
    store.insert([logged("a", response="second"), logged("b")])
    assert [row.response for row in store.predictions("toy", since=0, until=10)] == ["first", '{"b":2}']


def test_all_rows_are_written_or_none(store):
    with pytest.raises(StoreError):
        store.insert([logged("a"), logged("b", at=None)])
    assert ids(store) == []
    store.insert([logged("a")])  # the failed transaction is over
    assert ids(store) == ["a"]


def test_rows_that_are_written_are_not_in_memory_together(store):
    rows = (logged(f"{number:03}", response="x" * 100_000) for number in range(100))
    tracemalloc.start()
    store.insert(rows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000
    assert len(ids(store)) == 100


def test_windows_are_half_open_and_pages_lose_no_row_of_the_same_time(store, monkeypatch):
    monkeypatch.setattr(store_module, "ROWS_AT_ONCE", 3)
    rows = [logged(f"{i:02}", at=float(i // 4)) for i in range(20)]
    store.insert([*reversed(rows), logged("other", 1.0, model="other")])
    assert ids(store) == [row.id for row in rows]
    assert ids(store, since=1.0, until=3.0) == [row.id for row in rows[4:12]]
    assert ids(store, "other") == ["other"]


# Feedback


def test_the_last_word_counts_in_each_window_and_the_same_word_is_not_new(store):
    store.insert([logged("b"), logged("a")])
    assert store.add_feedback(said("a", "first", 10.0, item=1))
    assert not store.add_feedback(said("a", "first", 11.0, item=1))
    assert store.add_feedback(said("a", "second", 12.0, item=1))
    assert store.add_feedback(said("b", "other", 10.0))
    assert store.add_feedback(said("a", "of item 0", 13.0))
    assert truths(store) == [("a", 0, "of item 0"), ("a", 1, "second"), ("b", 0, "other")]
    assert truths(store, until=12.0) == [("a", 1, "first"), ("b", 0, "other")]
    assert truths(store, since=12.0) == [("a", 0, "of item 0"), ("a", 1, "second")]
    assert store.add_feedback(said("a", "first", 14.0, item=1))  # back to what was said before is new as well
    assert truths(store, since=14.0) == [("a", 1, "first")]


def test_of_two_at_the_same_time_the_later_one_counts(store):
    store.insert([logged("a")])
    assert store.add_feedback(said("a", "first", 10.0))
    assert store.add_feedback(said("a", "second", 10.0))
    assert truths(store) == [("a", 0, "second")]


def test_feedback_of_a_prediction_that_is_gone_is_not_kept(store):
    assert not store.add_feedback(said("a", "alone", 10.0))
    assert all_feedback(store) == []


def test_an_item_gathers_no_endless_contradictions(store):
    store.insert([logged("a")])
    for i in range(FEEDBACK_PER_ITEM + 5):
        assert store.add_feedback(said("a", f"{i:03}", float(i)))
    assert all_feedback(store) == [f"{i:03}" for i in range(5, FEEDBACK_PER_ITEM + 5)]
    ((size,),) = store.execute("SELECT bytes FROM predictions")
    assert size == (1 + FEEDBACK_PER_ITEM) * store_module.ROW_BYTES + len('{"a":1}{"b":2}') + 3 * FEEDBACK_PER_ITEM


def test_feedback_comes_in_pages_with_one_object_for_a_prediction(store, monkeypatch):
    monkeypatch.setattr(store_module, "ROWS_AT_ONCE", 3)
    store.insert([logged(name, items=5) for name in "ab"] + [logged("other", model="other")])
    for name, item in itertools.product(["b", "other", "a"], range(5)):
        store.add_feedback(said(name, f"{name}{item}", 10.0 - item, item=item))
    rows = list(store.feedback("toy", since=0, until=100))
    assert [given.truth for _, given in rows] == [f"{name}{item}" for name in "ab" for item in range(5)]
    assert len({id(about) for about, _ in rows}) == 2


def test_two_who_say_the_same_at_once_say_it_once(store_url):
    with closing(connect(store_url)) as store:
        store.insert([logged("a")])
    new, barrier = [], threading.Barrier(4)

    def say(number: int) -> None:
        with closing(connect(store_url)) as own:
            barrier.wait()
            new.append(own.add_feedback(said("a", "same", 10.0 + number)))

    threads = [threading.Thread(target=say, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False, False, False, True]


def test_items_are_those_of_the_models_own_prediction(store):
    store.insert([logged("a", items=7)])
    assert store.items_of("a", model="toy") == 7
    assert store.items_of("a", model="other") is None
    assert store.items_of("b", model="toy") is None


# What goes


def test_old_predictions_of_one_model_go_with_their_feedback(store):
    store.insert([logged("old", 1.0), logged("kept", 5.0), logged("other", 1.0, model="other")])
    for name in ("old", "kept", "other"):
        store.add_feedback(said(name, name, 10.0))
    assert store.retain("toy", since=5.0, megabytes=1.0) == 1
    assert ids(store) == ["kept"]
    assert ids(store, "other") == ["other"]
    assert all_feedback(store) == ["kept", "other"]


@pytest.mark.parametrize(("about", "left"), [("", ["b", "c", "d"]), ("c", ["c", "d"])])
def test_the_oldest_go_until_the_rest_fits_with_its_feedback(store, about, left):
    size = 1_000_000 - store_module.ROW_BYTES
    rows = [logged(name, at, request="x" * size, response="") for at, name in enumerate("abcd", start=1)]
    store.insert([*rows, logged("other", 0.5, model="other")])
    if about:
        store.add_feedback(said(about, "y" * size, 10.0))
    assert store.retain("toy", since=0.0, megabytes=3.0) == 4 - len(left)
    assert ids(store) == left
    assert ids(store, "other") == ["other"]
    assert store.retain("toy", since=0.0, megabytes=3.0) == 0


def test_forgetting_takes_what_was_meant_and_no_more(store):
    rows = [logged("a", subject="me"), logged("b", subject="me"), logged("c", subject="you"), logged("d")]
    store.insert(rows)
    for name in "abcd":
        store.add_feedback(said(name, name, 10.0))
    store.add_feedback(said("d", "by me", 11.0, client="me"))
    assert store.forget() == store.forget(subject="nobody") == store.forget(prediction="z") == (0, 0)
    assert ids(store) == ["a", "b", "c", "d"]
    assert store.forget(subject="me") == (2, 1)
    assert (ids(store), all_feedback(store)) == (["c", "d"], ["c", "d"])
    assert store.forget(prediction="c") == (1, 0)
    assert (ids(store), all_feedback(store)) == (["d"], ["d"])


def test_who_only_gave_feedback_is_forgotten_with_its_size(store):
    store.insert([logged("a"), logged("b")])
    store.add_feedback(said("a", "of others", 1.0, client="you"))
    before = store.execute("SELECT id, bytes FROM predictions ORDER BY id")
    for at, (name, truth) in enumerate([("a", "first"), ("a", "zweitens: ü"), ("b", "third")]):
        store.add_feedback(said(name, truth, 2.0 + at, client="me"))
    assert store.forget(subject="me") == (0, 3)
    assert all_feedback(store) == ["of others"]
    assert store.execute("SELECT id, bytes FROM predictions ORDER BY id") == before
    assert store.forget(subject="me") == (0, 0)


@pytest.mark.parametrize("forget", ["forget", "retain"])
def test_feedback_that_is_being_given_goes_with_its_prediction(postgresql, forget):
    url = postgresql.new_database(f"open-{forget}")
    with closing(connect(url)) as service, closing(connect(url)) as command:
        service.insert([logged("a", subject="me")])
        deleting = threading.Thread(
            target=lambda: (
                command.forget(subject="me") if forget == "forget" else command.retain("toy", since=2.0, megabytes=1.0)
            )
        )
        with service.database.transaction():  # as `add_feedback` does
            service.execute("UPDATE predictions SET bytes = bytes WHERE id = 'a'")
            service.execute("INSERT INTO feedback VALUES ('a', 0, 1.0, 'me', '{}')")
            deleting.start()
            deleting.join(timeout=0.2)
            assert deleting.is_alive()
        deleting.join(timeout=10)
        assert (ids(service), all_feedback(service)) == ([], [])


@pytest.fixture
def sqlite_log(tmp_path):
    return tmp_path / "log.db"


def test_nobody_else_may_read_the_files_of_sqlite(sqlite_log):
    with closing(connect(f"sqlite:///{sqlite_log}")) as store:
        store.insert([logged("a")])
        files = list(sqlite_log.parent.iterdir())
        assert len(files) == 3
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def bytes_beside(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


def test_what_was_forgotten_is_in_no_file_of_sqlite_any_more(sqlite_log):
    with closing(connect(f"sqlite:///{sqlite_log}")) as service, closing(connect(f"sqlite:///{sqlite_log}")) as command:
        service.insert([logged(f"{i:03}", request=f"secret-{i:03}" * 50, subject=f"person-{i:03}") for i in range(100)])
        service.add_feedback(said("007", "told-007", 10.0))
        command.forget(subject="person-007")
        command.forget(prediction="008")
        left = bytes_beside(sqlite_log)
        for gone in (b"secret-007", b"person-007", b"told-007", b"secret-008"):
            assert gone not in left
        assert b"secret-009" in left


def test_a_reader_that_keeps_old_pages_is_named(sqlite_log, monkeypatch):
    monkeypatch.setattr("portfolio_shared.operations.database.BUSY_SECONDS", 0.05)
    with closing(connect(f"sqlite:///{sqlite_log}")) as store, closing(sqlite3.connect(sqlite_log)) as reader:
        store.insert([logged("a", request="secret")])
        reading = reader.execute("SELECT * FROM predictions UNION ALL SELECT * FROM predictions")
        reading.fetchone()
        with pytest.raises(StoreError, match="forget it again"):
            store.forget(prediction="a")
        reading.close()
        assert store.forget(prediction="a") == (0, 0)
    assert b"secret" not in bytes_beside(sqlite_log)


def test_a_file_of_sqlite_stays_within_the_limit_and_gives_space_back(sqlite_log):
    with closing(connect(f"sqlite:///{sqlite_log}")) as store:
        for round_ in range(4):
            about = {"subject": "s" * 64, "request": "x" * 2800, "response": "y" * 2800}
            store.insert([logged(f"{round_}-{i:034}", round_ * 1e4 + i, **about) for i in range(1000)])
            store.retain("toy", since=0.0, megabytes=4.0)
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert 3.2e6 < sqlite_log.stat().st_size < 5e6
