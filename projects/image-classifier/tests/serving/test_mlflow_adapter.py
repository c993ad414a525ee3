"""The logged model under MLflow's own commands: the same answers, from stored code alone, and no pickle."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from image_classifier import cli
from image_classifier.config import TrainConfig
from image_classifier.train import PROJECT, Trained
from portfolio_shared.bundle import read_manifest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.runs import RunLog
from portfolio_shared.training import Project, run

pytestmark = pytest.mark.slow

NAME = "image-classifier-under-mlflow"
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
answers = model.predict(pd.DataFrame(json.load(sys.stdin))).to_dict(orient="records")
try:
    model.predict(pd.DataFrame([{"picture": "no base64!"}]))
    refused = ""
except Exception as error:
    refused = str(error)
import image_classifier, portfolio_shared
print(json.dumps({
    "answers": answers,
    "refused": refused,
    "torch": "torch" in sys.modules,
    "code": [image_classifier.__file__, portfolio_shared.__file__],
    "required": [column.name for column in model.metadata.get_input_schema() if column.required],
}))
"""


@pytest.fixture(scope="module")
def config(mlflow_server: str, train_config: TrainConfig, bundle: Path) -> TrainConfig:
    return train_config.model_copy(update={"tracking_uri": mlflow_server, "output": bundle})


@pytest.fixture(scope="module")
def project(trained: Trained) -> Project:
    """The project under a name of this module's own, whose training is finished already."""

    def learned(config: TrainConfig, console: Console, run: RunLog) -> Trained:
        for candidate in trained.candidates.values():
            run.child(candidate.name, {"candidate": candidate.name}, candidate.metrics)
        return trained

    return replace(PROJECT, name=NAME, learn=learned)


@pytest.fixture(scope="module")
def logged(config: TrainConfig, project: Project, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Log and register the session's model as `image-classifier train` does."""
    output = tmp_path_factory.mktemp("logged") / "bundle"
    run(project, config.model_copy(update={"output": output}), Console(quiet=True))
    return f"models:/{NAME}@champion"


@pytest.fixture(scope="module")
def loaded(logged: str, config: TrainConfig, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Any:
    hiding, elsewhere = tmp_path_factory.mktemp("hiding"), tmp_path_factory.mktemp("elsewhere")
    (hiding / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(hiding),
        "MLFLOW_TRACKING_URI": config.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    files = [photo.path.read_bytes() for photo in trained.split.test[:20]]
    questions = [{"picture": base64.b64encode(data).decode("ascii")} for data in files]
    result = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, logged, str(elsewhere)],
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


def test_the_loaded_model_says_what_was_measured(loaded: Any, trained: Trained) -> None:
    assert len(loaded["answers"]) == 20
    for answer, measured in zip(loaded["answers"], trained.evaluation.predictions, strict=False):
        label = int(measured.probabilities.argmax())
        assert answer == {
            "label": trained.data.labels[label],
            "probability": pytest.approx(measured.probabilities[label], abs=1e-6),
            "unsure": measured.unsure or "",
        }


def test_it_runs_on_the_code_that_was_stored_with_it_and_without_torch(loaded: Any) -> None:
    assert all(Path(file).is_relative_to(loaded["folder"] / "code") for file in loaded["code"])
    assert loaded["torch"] is False


def test_what_is_no_picture_is_refused_in_words(loaded: Any) -> None:
    assert "picture: expected a file in base64" in loaded["refused"]
    assert loaded["required"] == ["picture"]


def test_nothing_in_the_model_is_pickled(loaded: Any) -> None:
    files = [path for path in loaded["folder"].rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in files}
    assert {".onnx", ".npz", ".json", ".py"} <= suffixes
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".pyc"}
    for path in loaded["folder"].rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(array.dtype != object for array in arrays.values())


def test_the_model_holds_the_bundle_that_services_read(loaded: Any, bundle: Path) -> None:
    stored = loaded["folder"] / "artifacts" / "bundle"
    assert read_manifest(stored, project="image-classifier").files == read_manifest(bundle).files


def test_the_run_has_intervals_candidates_figures_and_the_data_report(
    logged: str, config: TrainConfig, trained: Trained
) -> None:
    version = champion_of(NAME, config.tracking_uri)
    with tracking_client(config.tracking_uri) as client:
        logged_run = client.get_run(version.run_id)
        children = client.search_runs(
            [logged_run.info.experiment_id], f"tags.mlflow.parentRunId = '{version.run_id}'", max_results=50
        )
        figures = {Path(file.path).name for file in client.list_artifacts(version.run_id, "figures")}
        data = [Path(file.path).name for file in client.list_artifacts(version.run_id, "data")]
    metrics = logged_run.data.metrics
    found = Interval(metrics["accuracy"], metrics["accuracy_low"], metrics["accuracy_high"])
    assert found == trained.evaluation.metrics["accuracy"]
    assert {child.info.run_name for child in children} == set(trained.candidates)
    assert {"confusion.svg", "reliability.svg", "training.svg", "mistakes.png", "activations.png"} <= figures
    assert data == ["report.json"]


def test_the_same_model_again_is_a_challenger_and_if_missing_does_nothing(
    logged: str, config: TrainConfig, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate compares test pictures; a model that is no better than the champion does not replace it."""
    again = config.model_copy(update={"output": tmp_path / "bundle"})
    run(replace(project, draw=lambda evaluation, candidates, folder: folder.mkdir()), again, Console(width=200))
    assert "as challenger: not proven better: difference 0" in capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "MODEL_NAME", NAME)
        cli.train(again.model_copy(update={"if_missing": True}))
    assert "version 1 is champion (path data)" in capsys.readouterr().out
