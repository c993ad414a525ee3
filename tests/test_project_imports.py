"""What importing costs in every project: a serving process stays small, and an import does nothing but define names."""

import importlib
import pkgutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_models import SmallModel

from project_table import Project, projects

TRAINING_ONLY = {
    "catboost",
    "imagehash",
    "implicit",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxscript",
    "optuna",
    "pandas",
    "pandera",
    "pooch",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
    "torchvision",
    "xgboost",
}
ONLY_WHERE_ASKED_FOR = {"opentelemetry.exporter", "opentelemetry.proto", "opentelemetry.sdk", "psycopg", "sqlalchemy"}
KEPT_OUT = {"pydantic.v1", "pygments", "rich"}
"""What libraries of a service would load, and it does without."""
# The first is MLflow's, which runs it as a script when a model is loaded; the others are Spark's, in its environment.
ELSEWHERE = ("serving.mlflow_adapter", "data.etl.spark_engine", "data.etl.spark_job")


def modules(package: str) -> list[str]:
    """Return the names of all modules but those that run elsewhere."""
    folder = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.walk_packages(folder, f"{package}."))
    return [name for name in names if name.removeprefix(f"{package}.") not in ELSEWHERE]


@pytest.mark.long
@pytest.mark.slow
def test_a_command_line_starts_in_a_blink_and_answering_needs_no_training_library(
    small: SmallModel, answer_once: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    package, request = small.project.package, small.request

    answer = answer_once(package, small.bundle, request.path, request.body, request.content_type)

    # Linear algebra reads its number of threads when NumPy is loaded: the service sets it before that.
    assert package in answer["command_line"]
    assert not set(answer["command_line"]) & {*TRAINING_ONLY, "numpy", "PIL", "fastapi", "uvicorn"}
    assert answer["blas_threads"] == "1"
    assert answer["status"] == 200
    assert answer["body"]["model"]["name"] == small.project.name
    assert {"numpy", "fastapi", "sqlite3", package} <= set(answer["service"])
    assert not set(answer["service"]) & {*TRAINING_ONLY, *ONLY_WHERE_ASKED_FOR, *KEPT_OUT, "pytest"}
    with closing(sqlite3.connect(tmp_path / "log.db")) as log:
        assert log.execute("SELECT id FROM predictions").fetchall() == [(answer["body"]["id"],)]


def test_a_batch_job_needs_no_training_library_and_no_service(
    project: Project, loaded_by: Callable[[str], set[str]]
) -> None:
    loaded = loaded_by(f"{project.package}.serving.batch")

    assert {"numpy", project.package} <= loaded
    assert not loaded & {*TRAINING_ONLY, "fastapi", "starlette"}


@pytest.mark.long  # every module, each library from nothing
@pytest.mark.slow
def test_importing_reads_no_environment_and_opens_nothing(
    watch_imports: Callable[[Sequence[str], Sequence[str]], list[str]],
) -> None:
    """In one process for all: loading the libraries takes longer than all of our own."""
    packages = [project.package for project in projects()]
    names = {package: modules(package) for package in ("portfolio_shared", *packages)}

    assert all(f"{package}.{name}" in names[package] for package in packages for name in ("train", "serving.app"))
    assert watch_imports(list(names), [name for each in names.values() for name in each]) == []
