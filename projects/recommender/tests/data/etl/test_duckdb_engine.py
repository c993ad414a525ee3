"""DuckDB behind the protocol: text by line, files cut by users, streams in order, errors by name."""

import gzip
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.data.etl import duckdb_engine
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.engine import EngineError, RawText


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(memory_limit="500MB", temp=tmp_path / "temp")
    yield engine
    engine.close()


def rows(engine: DuckDBEngine, query: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for batch in engine.batches(query) for row in batch.to_pylist()]


@pytest.mark.parametrize("packed", [False, True])
def test_a_text_comes_line_by_line_in_its_order_whatever_is_in_it(
    engine: DuckDBEngine, tmp_path: Path, packed: bool
) -> None:
    lines = ["userId,movieId", '5,"7', "", "a::b\tc|d;e", "it's #1 \\ end", "  "] + [f"{n}" for n in range(300_000)]
    path = tmp_path / ("text.gz" if packed else "text")
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    engine.view("lines", RawText(path, "", ",", {}, 4))
    read = [line or "" for _, line in rows(engine, "SELECT place, line FROM lines ORDER BY place")]
    assert read == lines
    places = [place for place, _ in rows(engine, "SELECT place, line FROM lines ORDER BY place")]
    assert len(set(places)) == len(lines)


@pytest.mark.parametrize("name", ["ml[1]", "ml*", "ml?"])
def test_a_path_is_no_pattern(engine: DuckDBEngine, tmp_path: Path, name: str) -> None:
    for folder in (name, "ml1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text").write_text(folder)
        pq.write_table(pa.table({"folder": [folder]}), tmp_path / folder / "0000.parquet")
    engine.view("lines", RawText(tmp_path / name / "text", "", ",", {}, 1))
    engine.view("stored", tmp_path / name)
    assert rows(engine, "SELECT line, folder FROM lines, stored") == [(name, name)]


def test_windows_ends_are_no_part_of_a_cell(engine: DuckDBEngine, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"1,2\r\n3,4\n5,6\r\n")
    engine.view("lines", RawText(tmp_path / "text", "", ",", {}, 2))
    read = rows(engine, "SELECT replace(line, chr(13), '') FROM lines ORDER BY place")
    assert read == [("1,2",), ("3,4",), ("5,6",)]


def test_files_are_cut_by_users_and_in_order(
    engine: DuckDBEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_engine, "FILE_ROWS", 100)
    rng = np.random.default_rng(0)
    table = pa.table(
        {"user_id": rng.integers(-3, 40, 1000), "film_id": rng.integers(0, 50, 1000), "at": rng.integers(0, 9, 1000)}
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "0.parquet")
    engine.view("rows", tmp_path / "in")
    assert engine.write("rows", tmp_path / "out", by_user="rows") == 1000
    files = [pq.read_table(path).to_pylist() for path in sorted((tmp_path / "out").iterdir())]
    assert len(files) > 5
    assert max(map(len, files)) < 200
    users = [{row["user_id"] for row in file} for file in files]
    assert all(max(one) < min(other) for one, other in pairwise(users))
    written = [tuple(row[name] for name in ("user_id", "at", "film_id")) for file in files for row in file]
    assert written == sorted(tuple(row[name] for name in ("user_id", "at", "film_id")) for row in table.to_pylist())


def test_one_user_with_more_rows_than_a_file_has_stays_in_one(
    engine: DuckDBEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_engine, "FILE_ROWS", 10)
    engine.run(
        "CREATE OR REPLACE TEMPORARY VIEW rows AS SELECT 7 AS user_id, i AS at, i AS film_id FROM range(95) t(i)"
    )
    assert engine.write("rows", tmp_path / "out", by_user="rows") == 95
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0000.parquet"]


def test_the_sum_goes_over_all_rows_in_the_order_of_the_query(engine: DuckDBEngine) -> None:
    seen: list[int] = []

    def part(batches: Iterator[pa.RecordBatch]) -> np.ndarray:
        seen.extend(value for batch in batches for value in batch.column(0).to_pylist())
        return np.array([float(len(seen))])

    assert engine.summed("SELECT i AS user_id FROM range(250000) t(i) ORDER BY i DESC", part).tolist() == [250_000.0]
    assert seen == list(range(249_999, -1, -1))


def test_what_duckdb_refuses_is_said(engine: DuckDBEngine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no_such_table"):
        engine.run("CREATE OR REPLACE TEMPORARY VIEW x AS SELECT * FROM no_such_table")
    with pytest.raises(EngineError, match="No files found"):
        engine.view("x", tmp_path)


def test_a_query_that_needs_more_than_the_limit_ends_in_an_error_and_not_in_more_memory(tmp_path: Path) -> None:
    engine = DuckDBEngine(memory_limit="20MB", temp=tmp_path / "temp")
    try:
        with pytest.raises(EngineError, match="Out of Memory"):
            list(engine.batches("SELECT list(i) FROM range(20000000) t(i)"))
    finally:
        engine.close()
