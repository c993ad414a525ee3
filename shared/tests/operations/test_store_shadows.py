"""What a challenger would have answered, beside the predictions that it is about, on SQLite and on PostgreSQL."""

import itertools
from contextlib import closing

import pytest

from portfolio_shared.operations import store as store_module
from portfolio_shared.operations.database import Database, StoreError
from portfolio_shared.operations.store import Feedback, LoggedPrediction, Shadow, Store, connect


@pytest.fixture
def store(store_url):
    with closing(connect(store_url)) as store:
        yield store


def logged(name: str, at: float = 1.0, **changes: object) -> LoggedPrediction:
    usual = LoggedPrediction(name, at, "toy", "3", "/v1/prices", "", 2, 1.5, '{"a":1}', '{"b":2}')
    return usual._replace(**changes)


def said(prediction: str, truth: str, at: float, *, item: int = 0, client: str = "") -> Feedback:
    return Feedback(prediction, item, at, client, truth)


def beside(name: str, version: str = "4", at: float = 2.0, **changes: object) -> Shadow:
    return Shadow(name, version, at, 3.5, '{"c":3}')._replace(**changes)


def pairs(store: Store, champion: str = "3", challenger: str = "4") -> list[tuple[str, int, str]]:
    rows = list(store.pairs("toy", champion=champion, challenger=challenger))
    for asked, answered, given in rows:
        assert asked.id == answered.id == given.prediction
        assert (asked.version, answered.version, asked.request) == (champion, challenger, answered.request)
    return [(given.prediction, given.item, given.truth) for _, _, given in rows]


def test_a_challengers_answer_is_kept_beside_the_prediction_that_it_is_about(store):
    store.insert([logged("a", subject="me"), logged("b")])
    assert store.insert_shadows([beside("a"), beside("gone"), beside("a", "5")]) == 2
    store.add_feedback(said("a", "true", 10.0, item=1, client="you"))
    ((asked, answered, given),) = store.pairs("toy", champion="3", challenger="4")
    assert asked == logged("a", subject="me")
    assert answered == asked._replace(version="4", at=2.0, milliseconds=3.5, response='{"c":3}')
    assert given == said("a", "true", 10.0, item=1, client="you")


def test_all_of_a_challengers_answers_are_written_or_none(store):
    store.insert([logged("a"), logged("b")])
    store.insert_shadows([beside("b")])
    before = store.execute("SELECT id, bytes FROM predictions ORDER BY id")
    with pytest.raises(StoreError):
        store.insert_shadows([beside("a"), beside("b")])  # that it has answered before
    assert store.execute("SELECT prediction FROM shadows") == [("b",)]
    assert store.execute("SELECT id, bytes FROM predictions ORDER BY id") == before


def test_only_this_pair_of_versions_is_paired_and_only_what_was_said_last(store):
    store.insert([logged("a"), logged("b"), logged("older", version="2"), logged("alone"), logged("other", model="x")])
    store.insert_shadows([beside(name) for name in ("a", "b", "older", "other")])
    store.insert_shadows([beside("b", "5")])
    for name in ("a", "b", "older", "alone", "other"):
        store.add_feedback(said(name, "first", 10.0))
    store.add_feedback(said("a", "last", 12.0))
    store.add_feedback(said("b", "of item 1", 11.0, item=1))
    assert pairs(store) == [("a", 0, "last"), ("b", 0, "first"), ("b", 1, "of item 1")]
    assert pairs(store, challenger="5") == [("b", 0, "first"), ("b", 1, "of item 1")]
    assert pairs(store, champion="2") == [("older", 0, "first")]


def test_pairs_come_by_item_and_in_pages(store, monkeypatch):
    monkeypatch.setattr(store_module, "ROWS_AT_ONCE", 3)
    names = [f"{i:02}" for i in range(10)]
    store.insert([logged(name) for name in names])
    store.insert_shadows([beside(name) for name in names])
    for again, name, item in itertools.product(("first", "last"), reversed(names), range(2)):
        store.add_feedback(said(name, again, 10.0 + (again == "last"), item=item))
    assert pairs(store) == [(name, item, "last") for name in names for item in range(2)]


@pytest.mark.parametrize("read", ["pairs", "feedback"])
def test_no_page_sorts_all_feedback(store, monkeypatch, read):
    names = [f"{i:04}" for i in range(1000)]
    store.insert([logged(name) for name in names])
    with store.database.transaction():
        store.database.execute_many("INSERT INTO shadows VALUES (?, ?, ?, ?, ?)", map(beside, names))
        store.database.execute_many(
            "INSERT INTO feedback VALUES (?, ?, ?, ?, ?)", [said(name, "x", 9e3 - i) for i, name in enumerate(names)]
        )
    store.execute("ANALYZE")
    asked, execute = {}, Database.execute
    monkeypatch.setattr(
        Database, "execute", lambda self, *statement: asked.update([statement]) or execute(self, *statement)
    )
    read_all = {
        "pairs": lambda: store.pairs("toy", champion="3", challenger="4"),
        "feedback": lambda: store.feedback("toy", since=0.0, until=1e12),
    }
    assert sum(1 for _ in read_all[read]()) == 1000
    explain = "EXPLAIN QUERY PLAN" if store.database.sqlite else "EXPLAIN"
    plans = [str(execute(store.database, f"{explain} {statement}", values)) for statement, values in asked.items()]
    assert plans
    assert not [plan for plan in plans if "Sort" in plan or "TEMP B-TREE" in plan]


def test_a_challengers_answer_has_a_size_and_goes_with_its_prediction(store):
    size = 1_000_000 - store_module.ROW_BYTES
    store.insert([logged(name, at, request="x" * size, response="") for at, name in enumerate("abc", start=1)])
    store.insert_shadows([beside("c", response="y" * size)])
    assert store.retain("toy", since=0.0, megabytes=3.0) == 1
    assert [row.id for row in store.predictions("toy", since=0.0, until=1e12)] == ["b", "c"]
    assert store.forget(prediction="c") == (1, 0)
    assert store.execute("SELECT * FROM shadows") == []


def test_missing_answers_are_those_between_the_first_and_the_last(store):
    store.insert([logged(name, at) for at, name in enumerate("abcdef")] + [logged("x", 3.0, version="2")])
    assert store.shadowed("toy", "3", "4") == (0, 0)
    store.insert_shadows([beside("b"), beside("e"), beside("x"), beside("c", "5")])
    assert store.shadowed("toy", "3", "4") == (2, 4)
    assert store.shadowed("toy", "3", "5") == (1, 1)
