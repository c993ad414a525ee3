"""The logged model under MLflow's own commands: the same prices, from stored code alone, and no pickle."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from housing.config import TrainConfig
from housing.data.columns import columns
from housing.data.house import EXAMPLE
from housing.models.predictor import Predictor
from housing.train import PROJECT, Trained
from portfolio_shared.bundle import read_manifest
from portfolio_shared.training import run
from processes import free_port

pytestmark = pytest.mark.slow

NAME = "housing-under-mlflow"
BIN = Path(sys.executable).parent
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
frames = [pd.DataFrame(rows) for rows in json.load(sys.stdin)]
# MLflow's signature has doubles, which may be missing, and takes no integers for them.
frames = [frame.astype(dict.fromkeys(frame.select_dtypes("integer"), "float64")) for frame in frames]
answers = [model.predict(frame).to_dict(orient="records") for frame in frames]
import housing, portfolio_shared
print(json.dumps({
    "answers": answers,
    "code": [housing.__file__, portfolio_shared.__file__],
    "required": [column.name for column in model.metadata.get_input_schema() if column.required],
}))
"""

IMPORT_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
import housing.models.predictor, housing.data.house
"""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Logged:
    """A logged model: its URI, and an environment and a folder in which our packages are not to be found."""

    uri: str
    environment: dict[str, str]
    elsewhere: Path

    def run(self, *command: str, given: str = "") -> str:
        result = subprocess.run(
            command,
            cwd=self.elsewhere,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout


@dataclass(frozen=True)
class Loaded:
    """What `mlflow.pyfunc.load_model` gave: the model's folder, and its answers to `questions`."""

    folder: Path
    answers: list[Rows]
    code: list[str]
    required: list[str]


@pytest.fixture(scope="module")
def logged(
    mlflow_server: str,
    train_config: TrainConfig,
    trained: Trained,
    tmp_path_factory: pytest.TempPathFactory,
) -> Logged:
    """Log and register the session's model as `housing train` does, under a name of this module's own."""
    output = tmp_path_factory.mktemp("logged") / "bundle"
    config = train_config.model_copy(update={"tracking_uri": mlflow_server, "output": output})
    run(replace(PROJECT, name=NAME, learn=lambda *_: trained), config, Console(quiet=True))
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(hiding),
        "MLFLOW_TRACKING_URI": mlflow_server,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Logged(f"models:/{NAME}@champion", environment, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def questions(trained: Trained) -> list[Rows]:
    """Return tables of houses: the example alone, houses with every column, and a mixture with cells left open."""
    houses = [dict(record) for record in trained.split.test.records[:40]]
    assert any(None in house.values() for house in houses)
    return [[dict(EXAMPLE)], houses, [dict(EXAMPLE) | {"kitchen_qual": None, "garage_area": None}, *houses[:3]]]


@pytest.fixture(scope="module")
def loaded(logged: Logged, questions: list[Rows], tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    printed = logged.run(sys.executable, "-c", LOAD_AND_PREDICT, logged.uri, str(folder), given=json.dumps(questions))
    answer = json.loads(printed.splitlines()[-1])
    (description,) = folder.rglob("MLmodel")
    return Loaded(description.parent, **answer)


@pytest.fixture(scope="module")
def served(logged: Logged) -> Iterator[httpx.Client]:
    """Run plain `mlflow models serve` from another folder."""
    port = free_port()
    command = [
        "mlflow",
        "models",
        "serve",
        "-m",
        logged.uri,
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "--env-manager",
        "local",
    ]
    log = logged.elsewhere / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=logged.elsewhere,
            env=logged.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            deadline = time.monotonic() + 90
            while not is_up(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"no answer within 90 s: {log.read_text()}"
                time.sleep(0.1)
            yield client
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # it starts the server as a child of its own
        process.wait(timeout=30)


def is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").is_success
    except httpx.TransportError:
        return False


def expected(predictor: Predictor, rows: Rows) -> Rows:
    return [
        {"price": house.price, "low": house.interval.low, "high": house.interval.high}
        for house in predictor.predict(rows)
    ]


def test_our_packages_are_hidden_where_the_model_is_loaded(logged: Logged) -> None:
    found = logged.run(sys.executable, "-c", "import importlib.util as u; print(u.find_spec('housing'))")

    assert found.strip() == "None"


def test_the_loaded_model_gives_the_same_prices(loaded: Loaded, predictor: Predictor, questions: list[Rows]) -> None:
    for answer, rows in zip(loaded.answers, questions, strict=True):
        assert answer == [pytest.approx(row, rel=1e-9) for row in expected(predictor, rows)]


def test_the_loaded_model_runs_on_the_code_that_was_stored_with_it(loaded: Loaded) -> None:
    assert all(Path(file).is_relative_to(loaded.folder / "code") for file in loaded.code)


def test_what_the_api_requires_is_required_and_the_rest_is_not(loaded: Loaded) -> None:
    assert sorted(loaded.required) == sorted(name for name, column in columns().items() if column.required)


def test_nothing_in_the_model_is_pickled(loaded: Loaded) -> None:
    files = [path for path in loaded.folder.rglob("*") if path.is_file()]

    suffixes = {path.suffix for path in files}
    assert {".npz", ".json", ".py"} <= suffixes
    assert not suffixes & {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pyc"}
    assert not any(path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05") for path in files)
    for path in loaded.folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(array.dtype != object for array in arrays.values())


def test_the_model_holds_the_bundle_that_services_read(loaded: Loaded, bundle: Path) -> None:
    stored = read_manifest(loaded.folder / "artifacts" / "bundle", project="housing")
    assert stored.files == read_manifest(bundle).files


def test_the_requirements_bring_what_the_adapter_imports(loaded: Loaded, tmp_path: Path) -> None:
    """Other environments are made from these: `mlflow models build-docker`, `--env-manager uv`."""
    lines = (loaded.folder / "requirements.txt").read_text().split()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines}
    brought = with_dependencies(pinned) | {"housing", "portfolio-shared"}
    absent = [
        module
        for module, homes in packages_distributions().items()
        if not brought & {canonicalize_name(home) for home in homes}
    ]

    result = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT, *absent], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert all("==" in line for line in lines)
    assert {"lightgbm", "catboost", "pytest"} <= set(absent)
    assert {"mlflow", "pandas", "numpy"} <= brought  # the adapter itself
    assert result.returncode == 0, result.stderr


def with_dependencies(names: set[str]) -> set[str]:
    """Return these distributions and all that installing them brings, without extras."""
    known: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        known.add(name)
        parsed = [Requirement(line) for line in requires(name) or ()]
        needed = {
            canonicalize_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})
        }
        waiting |= needed - known
    return known


def test_mlflow_serves_the_same_prices(served: httpx.Client, predictor: Predictor, questions: list[Rows]) -> None:
    for rows in questions:
        response = served.post("/invocations", json={"dataframe_records": rows})
        assert response.status_code == 200, response.text
        assert response.json()["predictions"] == [pytest.approx(row, rel=1e-9) for row in expected(predictor, rows)]


def test_mlflow_says_what_is_wrong_with_a_house(served: httpx.Client) -> None:
    missing = {name: value for name, value in EXAMPLE.items() if name != "lot_area"}

    without = served.post("/invocations", json={"dataframe_records": [missing]})
    impossible = served.post("/invocations", json={"dataframe_records": [EXAMPLE | {"full_bath": 9.0}]})

    assert without.status_code == 400
    assert "lot_area" in without.text
    assert impossible.status_code >= 400
    assert re.search(r"full_bath = 9.*here at most 6", impossible.text)
