"""The logged model under MLflow's own commands: the same films, from stored code alone, and no pickle."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from portfolio_shared.bundle import read_manifest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.runs import RunLog
from portfolio_shared.training import run
from recommender import cli
from recommender.config import TrainConfig
from recommender.models.predictor import Predictor
from recommender.serving.history_text import parse_history
from recommender.train import PROJECT, Trained

pytestmark = pytest.mark.slow

NAME = "recommender-under-mlflow"
ROOT = Path(__file__).resolve().parents[4]

# Python runs sitecustomize after it has read the installed packages' paths: the projects of this repository vanish.
HIDE = f"""
import sys
sys.path[:] = [path for path in sys.path if not path.startswith({str(ROOT / "projects")!r})]
sys.path[:] = [path for path in sys.path if not path.startswith({str(ROOT / "shared")!r})]
"""

LOAD_AND_PREDICT = """
import json, sys
import pandas as pd
from mlflow.pyfunc import load_model

model = load_model(sys.argv[1], dst_path=sys.argv[2])
answers = [model.predict(pd.DataFrame(rows))["films"].tolist() for rows in json.load(sys.stdin)]
import recommender, portfolio_shared
print(json.dumps({
    "answers": answers,
    "code": [recommender.__file__, portfolio_shared.__file__],
    "required": [column.name for column in model.metadata.get_input_schema() if column.required],
}))
"""


@pytest.fixture(scope="module")
def config(mlflow_server: str, train_config: TrainConfig, bundle: Path) -> TrainConfig:
    return train_config.model_copy(update={"tracking_uri": mlflow_server, "output": bundle})


@pytest.fixture(scope="module")
def logged(config: TrainConfig, trained: Trained) -> str:
    """Log and register the session's model as `recommender train` does, under a name of this module's own."""
    again(trained, config, Console(quiet=True))
    return f"models:/{NAME}@champion"


def again(trained: Trained, config: TrainConfig, console: Console) -> None:
    """Do all that a training does after `learn`, with a model that has learned already."""
    run(replace(PROJECT, name=NAME, learn=lambda _, __, log: logged_candidates(trained, log)), config, console)


def logged_candidates(trained: Trained, log: RunLog) -> Trained:
    for candidate in trained.candidates.values():
        log.child(candidate.name, {"candidate": candidate.name}, candidate.metrics)
    return trained


@pytest.fixture(scope="module")
def questions(trained: Trained) -> list[list[dict[str, object]]]:
    ids = [film.id for film in trained.predictor.catalogue.films]
    return [
        [{"history": f"{ids[3]}:4.5 {ids[8]}", "k": 5.0}, {"history": "", "k": None}],
        [{"history": f'[{ids[1]}, {{"film_id": {ids[2]}, "stars": 1}}]'}],
    ]


@pytest.fixture(scope="module")
def loaded(logged: str, config: TrainConfig, questions: object, tmp_path_factory: pytest.TempPathFactory) -> dict:
    hiding, elsewhere = tmp_path_factory.mktemp("hiding"), tmp_path_factory.mktemp("elsewhere")
    (hiding / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(hiding),
        "MLFLOW_TRACKING_URI": config.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-c", LOAD_AND_PREDICT, logged, str(elsewhere)]
    result = subprocess.run(
        command,
        cwd=elsewhere,
        env=environment,
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    (description,) = elsewhere.rglob("MLmodel")
    return {**json.loads(result.stdout.splitlines()[-1]), "folder": description.parent}


def test_the_loaded_model_recommends_the_same_films(loaded: dict, predictor: Predictor, questions: list) -> None:
    for answers, rows in zip(loaded["answers"], questions, strict=True):
        for films, row in zip(answers, rows, strict=True):
            expected = predictor.recommend(parse_history(row["history"]), k=int(row.get("k") or 10))
            assert films == expected.film_ids


def test_it_runs_on_the_code_that_was_stored_with_it(loaded: dict) -> None:
    assert all(Path(file).is_relative_to(loaded["folder"] / "code") for file in loaded["code"])


def test_how_many_films_is_optional(loaded: dict) -> None:
    assert loaded["required"] == ["history"]


def test_nothing_in_the_model_is_pickled(loaded: dict) -> None:
    files = [path for path in loaded["folder"].rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in files}
    assert {".npz", ".json", ".py"} <= suffixes
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pyc"}
    for path in loaded["folder"].rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(array.dtype != object for array in arrays.values())


def test_the_model_holds_the_bundle_that_services_read(loaded: dict, bundle: Path) -> None:
    assert read_manifest(loaded["folder"] / "artifacts" / "bundle", project="recommender") == read_manifest(bundle)


def test_the_run_has_intervals_candidates_and_figures(logged: str, config: TrainConfig, trained: Trained) -> None:
    version = champion_of(NAME, config.tracking_uri)
    with tracking_client(config.tracking_uri) as client:
        logged_run = client.get_run(version.run_id)
        children = client.search_runs(
            [logged_run.info.experiment_id], f"tags.mlflow.parentRunId = '{version.run_id}'", max_results=50
        )
        figures = {Path(file.path).stem for file in client.list_artifacts(version.run_id, "figures")}
    metrics = logged_run.data.metrics
    ndcg = Interval(metrics["ndcg_at_10"], metrics["ndcg_at_10_low"], metrics["ndcg_at_10_high"])
    assert ndcg == trained.evaluation.metric("ndcg")
    assert {child.info.run_name for child in children} == set(trained.candidates)
    assert figures == {"candidates", "ndcg-by-length", "long-tail"}


def test_the_same_model_again_is_a_challenger_and_if_missing_does_nothing(
    logged: str, config: TrainConfig, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate compares users' lists; a model that is no better than the champion does not replace it."""
    again(trained, config, Console(width=200))
    assert "as challenger: not proven better: difference 0" in capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "MODEL_NAME", NAME)
        cli.train(config.model_copy(update={"if_missing": True}))
    assert "version 1 is champion (sample data)" in capsys.readouterr().out
