"""Spark beside DuckDB and the reader in memory: the same tables, the same sums, the same model."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from environments import python_of
from required import missing

import portfolio_shared
import recommender
from recommender.config import EaseSettings
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.manifest import read_manifest
from recommender.data.etl.run import run_etl
from recommender.data.gram_job import path_of, sum_missing
from recommender.data.load import Dataset, load, split
from recommender.data.shaping import emphasis
from recommender.data.source import resolve_dataset
from recommender.data.totals import PARTS, read_totals
from recommender.models.fit import fit_full
from recommender.models.gram import fit_gram, read_gram

pytestmark = [pytest.mark.long, pytest.mark.slow]
TABLES = ("films", "rows", "ratings", "people", "counts", "quarantine")
DIRTY = """userId,movieId,rating,timestamp
1,1,4.0,100
1,1,3.5,100
1,2,5.0,90

1,7,4.0,91
1,3,5.5,92
1,3,,93
2,1,0.5,94,
2,2,1e0,95
userId,movieId,rating,timestamp
1,3,4E0,95
2,1,n/a,95
2,3,3_0,96
x,3,3,97
2,3,+4.5,98
3000000000,3,4,99
2, 2 ,2.0,94
"""


@pytest.fixture(scope="module")
def story(
    write_slice: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, dict[str, Any]]:
    """What Spark made of a slice of the sample and of a dirty file, beside what DuckDB did; and what it told."""
    if shutil.which("java") is None:
        missing(request, "java", "no Java on PATH: install 17 or newer (Debian: apt-get install default-jre-headless)")
    folder = tmp_path_factory.mktemp("spark")
    write_slice(folder / "sample", 300)
    (folder / "dirty").mkdir()
    (folder / "dirty" / "ratings.csv").write_text(DIRTY)
    films = "movieId,title,genres\n1,One (2001),Drama\n2,Two (2002),Comedy|Drama\n3,Three (2003),(no genres listed)\n"
    (folder / "dirty" / "movies.csv").write_text(films)
    tests = [item for item in request.session.items if item.path == Path(__file__)]
    if any(item.get_closest_marker("real_data") for item in tests):
        with suppress(pytest.skip.Exception):  # then those tests are skipped
            (folder / "latest").symlink_to(request.getfixturevalue("latest_small").source.path.resolve())
    sources = [str(Path(package.__file__).parents[1]) for package in (recommender, portfolio_shared)]
    script = Path(__file__).with_name("spark_story.py")
    printed = subprocess.run(
        [python_of("spark"), script, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert printed.returncode == 0, printed.stderr[-5000:]
    engine = DuckDBEngine(memory_limit="1GB", temp=folder / "scratch")
    for name in [name for name in ("sample", "dirty", "latest") if (folder / name).exists()]:
        source = resolve_dataset(str(folder / name), dataset="latest-small")
        run_etl(source, folder / f"{name}.duckdb", engine, most_unreadable=0.5)
    engine.close()
    return folder, json.loads(printed.stdout.splitlines()[-1])


Story = tuple[Path, dict[str, Any]]


def table(folder: Path, name: str) -> pa.Table:
    return pq.read_table(folder / name)


@pytest.mark.parametrize("source", ["sample", "dirty"])
def test_the_tables_are_those_of_duckdb_row_by_row(story: Story, source: str) -> None:
    folder, _ = story
    by_spark, by_duckdb = folder / f"{source}.spark", folder / f"{source}.duckdb"

    for name in TABLES:
        ours, other = table(by_spark, name), table(by_duckdb, name)
        if (
            name == "rows"
        ):  # in the order that the engine likes; what a place is differs, the order that it gives does not
            ours, other = (each.sort_by("place").drop_columns("place") for each in (ours, other))
        elif name == "quarantine":
            ours, other = ours.drop_columns("place"), other.drop_columns("place")
        assert ours.num_rows == other.num_rows, name
        assert ours.num_rows or (source, name) == ("sample", "quarantine")
        assert ours.to_pylist() == other.to_pylist(), name
        assert ours.schema.types == other.schema.types, name
    mine, theirs = read_manifest(by_spark), read_manifest(by_duckdb)
    assert (mine.rows_read, mine.excluded, mine.repaired) == (theirs.rows_read, theirs.excluded, theirs.repaired)
    assert [stage.rows_out for stage in mine.stages] == [stage.rows_out for stage in theirs.stages]
    assert {stage.engine.partition(" ")[0] for stage in mine.stages[1:]} == {"spark"}


def test_it_loads_as_the_same_data_set(story: Story) -> None:
    folder, _ = story

    assert load(str(folder / "sample.spark")).sha256 == load(str(folder / "sample")).sha256


def test_no_stage_runs_again(story: Story) -> None:
    _, told = story

    assert len(told["sample"]) == len(told["again"]) == len(TABLES)
    assert not any("unchanged" in line for line in told["sample"])
    assert all("unchanged" in line for line in told["again"])


def test_the_sums_are_those_of_duckdb_and_of_a_product_of_matrices(story: Story) -> None:
    folder, told = story
    ease, by_spark, by_duckdb = EaseSettings(), folder / "sample.spark", folder / "sample.duckdb"
    sum_missing(by_duckdb, ease, "duckdb", memory_limit="1GB")
    parts, totals = split(load(str(folder / "sample"))), read_totals(by_spark)

    assert (len(told["sums"]), told["sums again"]) == (2, 0)
    for part in PARTS:
        G = np.load(path_of(by_spark, ease, part), allow_pickle=False)
        ratings = getattr(parts, part)
        X = ratings.matrix().astype(np.float64)[:, totals.raters[part] >= ease.min_raters]
        X = X.multiply(emphasis(totals.lengths[part], ease.length_exponent)[:, None]).tocsr()
        expected = (X.T @ X).toarray()
        assert G.shape == expected.shape == (len(expected), len(expected))
        assert np.abs(G - expected).max() < 1e-5 * expected.max()
        assert np.abs(G - np.load(path_of(by_duckdb, ease, part))).max() < 1e-5 * expected.max()


def test_the_model_is_that_of_duckdb_and_of_the_reader_in_memory(story: Story) -> None:
    folder, _ = story

    check_models(folder, "sample", load(str(folder / "sample")))


@pytest.mark.real_data
def test_the_model_of_latest_small_is_the_same_too(latest_small: Dataset, story: Story) -> None:
    folder, _ = story

    assert load(str(folder / "latest.spark")).sha256 == latest_small.sha256
    check_models(folder, "latest", latest_small)


def check_models(folder: Path, name: str, data: Dataset) -> None:
    """Fit all but the test from both folders' sums and from the ratings, and compare scores of all films."""
    ease, ratings = EaseSettings(), split(data).before_test
    sum_missing(folder / f"{name}.duckdb", ease, "duckdb", memory_limit="1GB")
    catalogue = data.catalogue.counted(ratings.item_counts())
    stored = [folder / f"{name}.{engine}" for engine in ("spark", "duckdb")]
    grams = [read_gram(each, read_totals(each), ease, "before_test", read_manifest(each)) for each in stored]
    models = [fit_full(ratings.matrix(), catalogue, ease), *(fit_gram(gram, catalogue, ease) for gram in grams)]
    histories = [ratings.items[ratings.users == user] for user in range(0, ratings.n_users, 5)]
    expected, *others = [
        np.array([model.scores(each, np.ones(len(each), dtype=np.float32)) for each in histories]) for model in models
    ]
    assert expected.max() > 0.1
    for scores in others:
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_files_are_cut_between_people_and_rows_are_in_order(story: Story) -> None:
    folder, told = story
    files = sorted((folder / "cut").iterdir())
    rows = [pq.read_table(path, columns=["user_id", "at", "film_id"]) for path in files]
    users = [set(each["user_id"].to_pylist()) for each in rows]

    assert [path.name for path in files] == ["0000.parquet", "0001.parquet", "0002.parquet"]
    assert sum(map(len, users)) == len(set.union(*users))
    assert told["written"] == sum(each.num_rows for each in rows)
    together = pa.concat_tables(rows)
    assert together == together.sort_by([(name, "ascending") for name in ("user_id", "at", "film_id")])


def test_batches_come_in_the_order_of_the_query(story: Story) -> None:
    folder, told = story
    with pa.OSFile(str(folder / "ordered.arrow")) as file:
        streamed = pa.ipc.open_file(file).read_all()
    columns = ["user_id", "film_id", "stars", "at", "part"]
    stored = table(folder / "sample.spark", "ratings").select(columns)

    assert told["n_batches"] == 3
    assert streamed.equals(
        stored.sort_by([("at", "descending"), ("user_id", "ascending"), ("film_id", "ascending")]).cast(streamed.schema)
    )


def test_a_sum_meets_each_person_once_and_arrives_whole(story: Story) -> None:
    folder, told = story
    stored = table(folder / "sample.spark", "ratings")
    stars, people = sum(stored["stars"].to_pylist()), len(set(stored["user_id"].to_pylist()))

    assert told["column sums"] == [[stars * row, people * row] for row in range(600)]
    assert told["nothing"] == [[0.0, 0.0]] * 600


def test_what_has_no_users_is_written_by_as_many_as_read_it_and_in_its_order(story: Story) -> None:
    folder, _ = story

    for name, n_files in {"many": 4, "sorted": 3}.items():
        files = sorted((folder / name).iterdir())
        assert [path.name for path in files] == [f"{number:04}.parquet" for number in range(n_files)]
    assert table(folder, "many")["line"].to_pylist() == [str(number) for number in range(1_000)]
    assert table(folder, "sorted")["line"].to_pylist() == list(range(999, -1, -1))


def test_a_path_is_no_pattern(story: Story) -> None:
    _, told = story

    assert told["pattern"] == [{"line": "l[1]", "stored": "l[1]"}]


def test_lines_are_whole_and_in_the_order_of_the_file(story: Story) -> None:
    _, told = story

    assert [row["line"].rstrip("\r") for row in told["lines"]] == ["a", "", "b,\u00e9", "c"]
    places = [row["place"] for row in told["lines"]]
    assert places == sorted(set(places))


def test_what_spark_refuses_is_an_error_of_the_engine(story: Story) -> None:
    _, told = story

    assert "SELEC" in told["syntax"]
    assert "not_there" in told["table"]
    assert "not_there" in told["no view"]
    failed = [told.get(name, "") for name in ("damaged", "not written", "not read", "not summed")]
    assert ["0000.parquet" in error for error in failed] == [True] * 4, failed
    assert not any("\tat " in error for error in failed), "the stack of a Java program"
    assert told["engine"][0] == "spark"
    assert not told["pandas"]
