"""What importing costs: a serving process stays small, and an import does nothing but define names."""

import json
import pkgutil

import pytest

import recommender

TRAINING_ONLY = {
    "pandas",
    "pooch",
    "pandera",
    "sklearn",
    "scipy",
    "torch",
    "implicit",
    "threadpoolctl",
    "matplotlib",
    "mlflow",
}
MODULES = sorted(module.name for module in pkgutil.walk_packages(recommender.__path__, "recommender."))
# Needs MLflow, which runs it as a script when a model is loaded; nothing imports it.
ADAPTER = "recommender.serving.mlflow_adapter"


@pytest.mark.slow
def test_answering_a_request_needs_no_training_library(answer_once, bundle, predictor):
    popular = predictor.recommend([], k=1).recommendations[0].film
    body = json.dumps({"history": [{"film_id": popular.id}]}).encode()

    answer = answer_once("recommender", bundle, "/v1/recommendations", body)

    assert answer["status"] == 200
    assert len(answer["body"]["recommendations"]) == 10
    assert {"numpy", "fastapi", "recommender"} <= set(answer["modules"])
    assert not set(answer["modules"]) & {*TRAINING_ONLY, "pytest"}
    assert answer["blas_threads"] == "1"


def test_the_command_line_starts_without_numpy(loaded_by):
    loaded = loaded_by("recommender.cli")

    # Linear algebra reads its number of threads when NumPy is loaded: the service sets it before that.
    assert "recommender" in loaded
    assert not loaded & {*TRAINING_ONLY, "numpy", "fastapi", "uvicorn"}


def test_every_module_is_known_here():
    named = {"recommender.serving.app", "recommender.models.predictor", "recommender.train", "recommender.cli", ADAPTER}
    assert named | {"recommender.models.ease"} <= set(MODULES)


@pytest.mark.slow
def test_importing_reads_no_environment_and_opens_nothing(watch_imports):
    assert watch_imports("recommender", [name for name in MODULES if name != ADAPTER]) == []
