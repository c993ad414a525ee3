"""How a module is started where there is PySpark."""

import os
import sys
from pathlib import Path

import pytest

from recommender.data.etl.engine import EngineError
from recommender.data.etl.spark_command import ENVIRONMENT, has_spark, run_on_spark, target


def python_that_notes(folder: Path, path: Path) -> None:
    """Write a script in the place of a Python that notes its arguments and where it may import from."""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\necho "$@" >{folder}/arguments\necho "$PYTHONPATH" >{folder}/path\n', encoding="utf-8")
    path.chmod(0o755)


def test_there_is_no_spark_here() -> None:
    assert not has_spark()


def test_the_environment_of_a_checkout_runs_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python_that_notes(tmp_path, ENVIRONMENT)

    run_on_spark("recommender.data.gram_job", "DIR", "--engine", "spark")

    assert (tmp_path / "arguments").read_text() == "-m recommender.data.gram_job DIR --engine spark\n"
    paths = (tmp_path / "path").read_text().strip().split(os.pathsep)
    assert [any((Path(path) / name).is_dir() for path in paths) for name in ("recommender", "portfolio_shared")]
    assert not any((Path(path) / "pandas").exists() for path in paths)


def test_without_an_environment_the_error_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(EngineError, match=r"`make \.state/spark/installed\.lock` makes it"):
        run_on_spark("recommender.data.gram_job")


def test_a_command_is_run_as_it_is_given_and_its_failure_is_told(tmp_path: Path) -> None:
    run_on_spark("json.tool", "--help", command=f"'{sys.executable}' -I")

    with pytest.raises(EngineError, match="not-there cannot be started"):
        run_on_spark("json.tool", command=str(tmp_path / "not-there"))
    with pytest.raises(EngineError, match=r"json\.tool nowhere\.json ended with status \d"):
        run_on_spark("json.tool", "nowhere.json", command=sys.executable)


def test_spark_submit_is_given_a_file() -> None:
    (path,) = target(["/opt/venv/bin/spark-submit", "--master", "spark://host:7077"], "recommender.data.gram_job")

    assert Path(path).name == "gram_job.py"
    assert target(["python"], "recommender.data.gram_job") == ["-m", "recommender.data.gram_job"]
