"""What the tests of the ETL share: one that runs on DuckDB and tells which stages ran."""

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
def etl(tmp_path: Path) -> Iterator[Etl]:
    """Return a function: (source, output) -> the manifest, and the stages that were run."""
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
