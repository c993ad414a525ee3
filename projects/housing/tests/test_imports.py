"""What importing costs: a serving process stays small, and an import does nothing but define names."""

import json
import pkgutil

import pytest

import housing
from housing.data.house import EXAMPLE

TRAINING_ONLY = {
    "pandas",
    "pandera",
    "sklearn",
    "scipy",
    "torch",
    "catboost",
    "lightgbm",
    "xgboost",
    "optuna",
    "pooch",
    "matplotlib",
    "mlflow",
}
MODULES = sorted(module.name for module in pkgutil.walk_packages(housing.__path__, "housing."))
# Needs MLflow, which runs it as a script when a model is loaded; nothing imports it.
ADAPTER = "housing.serving.mlflow_adapter"


@pytest.mark.slow
def test_answering_a_request_needs_no_training_library(answer_once, bundle):
    body = json.dumps({"houses": [EXAMPLE], "explain": True}).encode()

    answer = answer_once("housing", bundle, "/v1/predictions", body)

    assert answer["status"] == 200
    assert answer["body"]["predictions"][0]["price"] > 0
    assert {"numpy", "fastapi", "housing"} <= set(answer["modules"])
    assert not set(answer["modules"]) & {*TRAINING_ONLY, "pytest"}
    assert answer["blas_threads"] == "1"


def test_the_command_line_starts_without_numpy(loaded_by):
    loaded = loaded_by("housing.cli")

    # Linear algebra reads its number of threads when NumPy is loaded: the service sets it before that.
    assert "housing" in loaded
    assert not loaded & {*TRAINING_ONLY, "numpy", "fastapi", "uvicorn"}


def test_every_module_is_known_here():
    assert {"housing.serving.app", "housing.models.predictor", "housing.train", "housing.cli", ADAPTER} <= set(MODULES)


@pytest.mark.slow
def test_importing_reads_no_environment_and_opens_nothing(watch_imports):
    assert watch_imports("housing", [name for name in MODULES if name != ADAPTER]) == []
