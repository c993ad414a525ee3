"""What the tests of the ETL share: few ratings, and an ETL that runs on DuckDB and tells which stages ran."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from portfolio_shared.data.sources import Source
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.manifest import Manifest
from recommender.data.etl.run import run_etl
from recommender.data.load import Dataset

Etl = Callable[..., tuple[Manifest, list[str]]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """400 ratings of few people and films: pairs that are replaced, and one in eleven off the scale."""
    folder = tmp_path / "source"
    folder.mkdir()
    films = "1,Toy Story (1995),Animation|Children\n7,Two (1990),\n9,No Year,Drama\n"
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{films}", encoding="utf-8")
    rows = [f"{i % 12 + 1},{(1, 7, 9, 9, 99)[i % 5]},{(i * 7 % 11) / 2 + 0.5},{i % 40}" for i in range(400)]
    lines = ["userId,movieId,rating,timestamp", *rows, ""]
    (folder / "ratings.csv").write_bytes("\r\n".join(lines).encode())
    return folder


@pytest.fixture
def etl(tmp_path: Path) -> Iterator[Etl]:
    """Return a function: (source, output) -> the manifest, and the stages that were run, or files that were no use."""
    engine = DuckDBEngine(memory_limit="500MB", temp=tmp_path / "temp")

    def run(source: Path, output: Path, *, most_unreadable: float = 0.5) -> tuple[Manifest, list[str]]:
        said: list[str] = []
        found = Source("path", source, "")
        manifest = run_etl(found, output, engine, most_unreadable=most_unreadable, say=said.append)
        return manifest, [line.partition(":")[0] for line in said if ": unchanged" not in line]

    yield run
    engine.close()


@pytest.fixture
def check_equal() -> Callable[[Dataset, Dataset], None]:
    """Return a function that requires what is stored to be what the reader in memory reads."""

    def check(stored: Dataset, read: Dataset) -> None:
        assert stored.sha256 == read.sha256
        assert stored.report.rows_read == read.report.rows_read
        assert stored.report.excluded == read.report.excluded
        assert stored.report.repaired == read.report.repaired
        assert sorted(stored.report.notes) == sorted(read.report.notes)
        assert np.array_equal(stored.user_ids, read.user_ids)
        assert stored.user_ids.dtype == read.user_ids.dtype

    return check
