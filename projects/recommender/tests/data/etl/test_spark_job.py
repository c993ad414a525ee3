"""The job that is submitted to a cluster, as its container submits it; the workers are here two threads of one JVM."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import python_of
from required import missing

import portfolio_shared
import recommender
from recommender.config import EaseSettings
from recommender.data import gram_job
from recommender.data.etl.spark_command import target
from recommender.data.load import load

pytestmark = [pytest.mark.long, pytest.mark.slow]
JOB = "recommender.data.etl.spark_job"
Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(tmp_path: Path, request: pytest.FixtureRequest) -> Submit:
    """Return a function: arguments of the job -> how it ended."""
    if shutil.which("java") is None:
        missing(request, "java", "no Java on PATH: install 17 or newer (Debian: apt-get install default-jre-headless)")
    python = python_of("spark")
    sources = [str(Path(package.__path__[0]).parent) for package in (recommender, portfolio_shared)]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(sources),
        "PYSPARK_PYTHON": str(python),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(tmp_path / "scratch"),
    }
    (tmp_path / "scratch").mkdir()
    line = ["spark-submit", "--master=local[2]", "--driver-memory=1g", *target(["spark-submit"], JOB)]

    def submit(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [*line, *map(str, arguments)]
        return subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )

    return submit


def test_a_submitted_job_leaves_tables_and_sums_and_nothing_else(
    submit: Submit, write_slice: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    source, out = write_slice(tmp_path / "few", 300), tmp_path / "out"

    ended = submit(source, f"--output={out}")
    assert ended.returncode == 0, ended.stdout + ended.stderr[-5000:]
    assert load(str(out)).sha256 == load(str(source)).sha256
    assert gram_job.missing(out, EaseSettings()) == []
    sums = sorted(f"grams/{path.name}: summed" for path in (out / "grams").iterdir())
    assert sorted(line for line in ended.stdout.splitlines() if "summed" in line) == sums
    assert len(sums) == len(gram_job.PARTS)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"few", "out", ".out.lock", "scratch"}


def test_a_job_that_fails_says_why_in_a_line(submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    ended = submit("sample", f"--output={tmp_path / 'notes'}")
    assert ended.returncode == 1
    said = [line for line in ended.stdout.splitlines() if "Error" in line]  # spark-submit joins what Python writes
    assert [line.partition(": ")[0] for line in said] == ["DataError"], ended.stdout
    assert said[0].endswith("was not written by `recommender etl`: name another folder")
    assert "Traceback" not in ended.stdout + ended.stderr
