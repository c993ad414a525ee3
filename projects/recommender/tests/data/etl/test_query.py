"""The queries' answers: by hand where the data are few, else what Python counts in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from portfolio_shared.data.checks import DataError
from portfolio_shared.operations.store import Feedback, LoggedPrediction, connect
from recommender.data.etl import query
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.engine import Engine
from recommender.data.etl.manifest import Manifest
from recommender.data.etl.run import run_etl
from recommender.data.explore import describe
from recommender.data.load import Dataset, load

DAY = 86_400.0
Etl = Callable[..., tuple[Manifest, list[str]]]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("sample")


@pytest.fixture(scope="module")
def tables(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("etl")
    engine = DuckDBEngine(memory_limit="500MB", temp=folder / "temp")
    run_etl(data.source, folder / "out", engine, most_unreadable=0.0)
    engine.close()
    with query.opened(folder / "out") as engine:
        yield engine


@pytest.mark.long
def test_popular_films(tables: Engine, data: Dataset) -> None:
    rows = query.answer(tables, "popular_films").to_pylist()
    counts = data.ratings.item_counts()
    first = np.argsort(-counts, kind="stable")[:10]
    assert [row["n_ratings"] for row in rows] == counts[first].tolist()
    for row, item in zip(rows, first, strict=True):
        assert row["title"].startswith(data.catalogue.films[item].name[:4])
        stars = data.ratings.values[data.ratings.items == item]
        assert row["mean_stars"] == pytest.approx(stars.mean(), abs=0.0051)
        assert row["percent_of_ratings"] == pytest.approx(100 * counts[item] / len(data.ratings), abs=0.0051)


def test_long_tail_is_what_the_figure_shows(tables: Engine, data: Dataset) -> None:
    found = {row["share"]: row["of_ratings"] for row in query.answer(tables, "long_tail").to_pylist()}
    expected = describe(data.ratings)
    assert found[0.01] == pytest.approx(expected["ratings_of_top_0.01"], abs=1e-12)
    assert found[0.1] == pytest.approx(expected["ratings_of_top_0.1"], abs=1e-12)


def test_sittings_are_those_of_the_figure(tables: Engine, data: Dataset) -> None:
    (row,) = query.answer(tables, "sittings").to_pylist()
    ratings = data.ratings
    new = (np.diff(ratings.users) > 0) | (np.diff(ratings.times) >= 3600)
    assert row["people"] == ratings.n_users
    assert row["sittings"] == int(new.sum()) + 1
    assert row["share_with_one"] == pytest.approx(describe(ratings)["in_one_sitting"], abs=1e-9)
    assert row["films_in_a_sitting"] == pytest.approx(len(ratings) / (new.sum() + 1))


def test_films_of_one_second_are_in_one_sitting(tmp_path: Path) -> None:
    """As a program rates that imports a list; at the beginning of a sitting such rows once came in two orders."""
    rng, n = np.random.default_rng(0), 300_000
    columns = {"user_id": rng.integers(0, 300, n), "film_id": rng.permutation(n), "at": rng.integers(0, 2, n) * 9_000}
    pq.write_table(pa.table(columns), tmp_path / "0000.parquet")
    engine = DuckDBEngine(memory_limit="500MB", temp=tmp_path / "temp")
    engine.run("SET threads = 4")  # one thread happens to keep the order of the query's first half
    engine.view("ratings", tmp_path)
    (row,) = query.answer(engine, "sittings").to_pylist()
    engine.close()
    assert row == {"people": 300, "sittings": 600, "share_with_one": 0.0, "films_in_a_sitting": n / 600}


def test_pairs_are_those_of_the_gram_matrix(tables: Engine, data: Dataset) -> None:
    rows = query.answer(tables, "seen_together").to_pylist()
    counts = data.ratings.item_counts()
    popular = np.sort(np.argsort(-counts, kind="stable")[:200])
    x = data.ratings.matrix().tocsc()[:, popular].toarray()
    gram = np.triu(x.T @ x, 1)
    assert [row["people"] for row in rows] == np.sort(gram, axis=None)[::-1][:10].astype(int).tolist()
    first, second = np.unravel_index(gram.argmax(), gram.shape)
    chance = counts[popular[first]] * counts[popular[second]] / data.ratings.n_users
    assert rows[0]["lift"] == pytest.approx(gram.max() / chance, abs=0.0051)


def shown(*films: int) -> dict[str, object]:
    return {"recommendations": [{"film": {"film_id": film}, "chance": 0.1} for film in films]}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two days, two versions, another model; a list and a batch; a last word that differs from the first."""
    path = tmp_path / "log.db"
    answers = [
        ("a", 5.0, "recommender", "1", 1, 10.0, shown(1, 2, 3)),
        ("b", 6.0, "recommender", "1", 2, 30.0, {"results": [shown(1, 2), shown(4, 5)]}),
        ("c", DAY + 1, "recommender", "2", 1, 7.0, shown(9)),
        ("d", DAY + 2, "recommender", "2", 1, 9.0, shown(8)),
        ("e", 5.0, "housing", "1", 1, 99.0, {"prices": [1]}),
    ]
    said = [
        ("a", 0, 7.0, [{"film_id": 3, "liked": False}]),
        ("a", 0, 8.0, [{"film_id": 3, "liked": True}, {"film_id": 77}]),
        ("b", 1, 9.0, [{"film_id": 4, "liked": None}, {"film_id": 1, "liked": False}]),
        ("c", 0, DAY + 9, [{"film_id": 8}]),
    ]
    with closing(connect(f"sqlite:///{path}")) as store:
        store.insert(
            LoggedPrediction(name, at, model, version, "/v1", "hash of somebody", items, ms, "{}", json.dumps(response))
            for name, at, model, version, items, ms, response in answers
        )
        for prediction, item, at, watched in said:
            assert store.add_feedback(Feedback(prediction, item, at, "", json.dumps({"watched": watched})))
    return path


def test_latency_by_day_and_version(log: Path) -> None:
    with query.opened(log) as engine:
        rows = [tuple(row.values()) for row in query.answer(engine, "log_latency").to_pylist()]
    assert rows == [(0, "1", 2, 3, 20.0, 29.0), (86_400, "2", 2, 2, 8.0, 8.9)]


def test_hits_take_the_last_word_and_the_list_that_was_shown(log: Path) -> None:
    """Of a: 3 stood there, 77 did not. Of b's second list: 4 did, 1 only in the first. Of c: 8 did not."""
    with query.opened(log) as engine:
        rows = query.answer(engine, "log_hits").to_pylist()
    assert rows == [
        {"version": "1", "lists": 2, "watched": 4, "of_the_list": 2, "disliked": 1},
        {"version": "2", "lists": 1, "watched": 1, "of_the_list": 0, "disliked": 0},
    ]


def test_a_log_is_read_while_the_service_writes_and_nobody_is_named(log: Path, tmp_path: Path) -> None:
    with closing(connect(f"sqlite:///{log}")) as store, store.database.transaction():
        store.execute("DELETE FROM feedback")  # not committed
        with query.opened(log) as engine:
            assert len(query.answer(engine, "log_hits")) == 2
            columns = [
                row["column_name"] for batch in engine.batches("DESCRIBE predictions") for row in batch.to_pylist()
            ]
    assert "subject" not in columns


def test_tables_that_were_changed_or_are_replaced_meanwhile_give_no_answer(
    etl: Etl, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    etl(source, out)

    def ask() -> None:
        with query.opened(out) as engine:
            assert query.answer(engine, "sittings").num_rows == 1
            with (source / "ratings.csv").open("a", newline="") as stream:
                stream.write("7,7,4.0,99\r\n")
            etl(source, out)

    with pytest.raises(DataError, match="was written anew meanwhile"):
        ask()
    (out / "people" / "0000.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="was changed after it was written"), query.opened(out):
        pass


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database")
    with pytest.raises(DataError, match="is no prediction log"), query.opened(tmp_path / "x.db"):
        pass


def test_every_query_is_tested_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in query.names() if f'"{name}"' not in tested] == []


def test_the_command_prints_the_rows(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["query", "log_hits", str(log)])
    query.main()
    assert "of_the_list" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["query", "drop_all", str(log)])
    with pytest.raises(SystemExit, match="log_latency,"):
        query.main()
    monkeypatch.setattr("sys.argv", ["query", "log_hits", str(log.with_name("none.db"))])
    with pytest.raises(SystemExit, match=r"none\.db is no prediction log"):
        query.main()
