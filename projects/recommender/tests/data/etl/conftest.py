"""What the tests of the ETL share: one that runs on DuckDB and tells which stages ran."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portfolio_shared.data.sources import Source
from recommender.data.etl.duckdb_engine import DuckDBEngine
from recommender.data.etl.manifest import Manifest
from recommender.data.etl.run import run_etl

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
