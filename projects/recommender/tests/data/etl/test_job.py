"""The ETL as a command: where it runs, and what it leaves."""

from pathlib import Path

import pytest
from filelock import FileLock

from portfolio_shared.data.checks import DataError
from recommender.config import EtlConfig
from recommender.data.etl import job
from recommender.data.etl.engine import Engine, EngineError


def test_a_process_that_was_started_to_have_spark_starts_no_other(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["job", str(source), "--output", str(tmp_path / "out"), "--engine", "spark"])
    monkeypatch.setenv("RECOMMENDER_ETL_SPARK_COMMAND", "not-to-be-started")
    monkeypatch.setattr(job, "run_on_spark", lambda *_, **__: pytest.fail("another process was started"))

    with pytest.raises(SystemExit, match="has no PySpark"):
        job.main()


def test_spark_without_pyspark_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="has no PySpark: name a command that runs Python with it"):
        job.open_engine("spark", memory_limit="1GB", temp=tmp_path)


def test_what_a_killed_run_spilled_goes_with_the_next_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[Path, list[Path]]] = []
    open_engine = job.open_engine

    def opened(name: str, *, memory_limit: str, temp: Path) -> Engine:
        met.append((temp, list(temp.iterdir())))
        return open_engine("duckdb", memory_limit=memory_limit, temp=temp)

    monkeypatch.setattr(job, "open_engine", opened)
    config = EtlConfig(source=str(source), output=tmp_path / "out", memory_limit="500MB")
    job.etl(config)
    ((spill, _),) = met
    assert spill.parent == tmp_path
    spill.mkdir()
    (spill / "spilled").touch()
    with FileLock(tmp_path / ".out.lock"), pytest.raises(DataError, match="another run writes"):
        job.etl(config)
    assert (spill / "spilled").exists(), "it may be that of the other run"
    job.etl(config)
    assert met == [(spill, []), (spill, [])]
    assert [path.name for path in tmp_path.glob(".*")] == [".out.lock"]
