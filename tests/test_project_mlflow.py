"""Every project's model under MLflow's own commands: the same answers, from stored code alone, and no pickle."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_models import SmallModel

import portfolio_shared
from portfolio_shared.bundle import read_manifest
from portfolio_shared.tracking.pyfunc_model import example_frame, save_pyfunc
from processes import free_port, start, wait_until_ready

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pt", ".pth", ".pyc"}

# Python runs sitecustomize after it has read the installed packages' paths: the projects of this repository vanish, and
# so do all libraries that the model's requirements do not bring.
HIDE = """
import json, os, sys

hidden = json.loads(os.environ["TEST_HIDES"])
sys.path[:] = [path for path in sys.path if not path.startswith(tuple(hidden["folders"]))]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in hidden["modules"]:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
"""
LOAD_AND_PREDICT = """
import importlib, json, sys
import pandas as pd
from mlflow.pyfunc import load_model

folder, package = sys.argv[1:]
model = load_model(folder)
print(json.dumps({
    "answers": model.predict(pd.DataFrame(json.load(sys.stdin))).to_dict(orient="records"),
    "code": [importlib.import_module(name).__file__ for name in (package, "portfolio_shared")],
    "required": [column.name for column in model.metadata.get_input_schema() if column.required],
}))
"""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Stored:
    """A model in MLflow's form, the rows of its example, and what the project's own adapter answers to them."""

    small: SmallModel
    folder: Path
    rows: Rows
    expected: Rows
    elsewhere: Path
    hidden: list[str]

    @property
    def environment(self) -> dict[str, str]:
        """Of processes in which this repository's packages and all other libraries are not to be found."""
        hides = {"folders": [str(ROOT / "projects"), str(ROOT / "shared")], "modules": self.hidden}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        new = {"PYTHONPATH": str(self.elsewhere), "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        new["PYTHONDONTWRITEBYTECODE"] = "1"
        return {**os.environ, **new, "TEST_HIDES": json.dumps(hides)}


@dataclass(frozen=True)
class Loaded:
    """What `mlflow.pyfunc.load_model` gave in such a process."""

    answers: Rows
    code: list[str]
    required: list[str]


@pytest.fixture(scope="module")
def stored(small: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder, elsewhere = tmp_path_factory.mktemp("stored") / "model", tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    spine = small.module("train").PROJECT
    adapter = spine.package / "serving" / "mlflow_adapter.py"
    table = example_frame(spine.input_example(small.trained))
    code = [spine.package, Path(portfolio_shared.__file__).parent]
    save_pyfunc(folder, small.bundle, adapter, table, requirements=spine.requirements, code_paths=code)
    expected = small.adapter.predict(spine.load(small.bundle), table).to_dict(orient="records")
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return Stored(small, folder, rows, expected, elsewhere, absent_modules(folder, small.project.package))


@pytest.fixture(scope="module")
def loaded(stored: Stored) -> Loaded:
    command = [sys.executable, "-c", LOAD_AND_PREDICT, str(stored.folder), stored.small.project.package]
    result = subprocess.run(
        command,
        cwd=stored.elsewhere,
        env=stored.environment,
        input=json.dumps(stored.rows),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return Loaded(**json.loads(result.stdout.splitlines()[-1]))


def nearly(rows: Rows) -> Rows:
    """Return rows that are equal to others whose numbers differ by rounding alone."""
    return [
        {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]


def absent_modules(folder: Path, package: str) -> list[str]:
    """Return the modules of installed libraries that the model's requirements do not bring."""
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in line for line in lines)
    brought = with_dependencies({canonicalize_name(Requirement(line).name) for line in lines})
    ours = {package, "portfolio_shared"}
    return [
        module
        for module, homes in packages_distributions().items()
        if module not in ours and not brought & {canonicalize_name(home) for home in homes}
    ]


def with_dependencies(names: set[str]) -> set[str]:
    """Return these distributions and all that installing them brings, without extras."""
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        needed = [Requirement(line) for line in requires(name) or ()]
        needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
        waiting |= {canonicalize_name(each.name) for each in needed} - seen
    return seen


def test_the_loaded_model_answers_the_same_from_the_code_and_the_libraries_that_were_stored_with_it(
    stored: Stored, loaded: Loaded
) -> None:
    """Other environments are made from these: `mlflow models build-docker`, `--env-manager uv`."""
    assert loaded.answers == nearly(stored.expected)
    assert all(Path(file).is_relative_to(stored.folder / "code") for file in loaded.code)
    assert {"catboost", "torch", "pytest"} <= set(stored.hidden)


def test_what_every_row_of_the_example_has_is_required_and_the_rest_is_not(stored: Stored, loaded: Loaded) -> None:
    always = [name for name in stored.rows[0] if all(row[name] is not None for row in stored.rows)]

    assert sorted(loaded.required) == sorted(always)


def test_what_a_training_starts_from_is_no_part_of_the_model(stored: Stored) -> None:
    package = Path("code", stored.small.project.package)

    assert (ROOT / "projects" / stored.small.project.name / "src" / package.name / "data/sample/SOURCE.md").is_file()
    assert (stored.folder / package / "data" / "load.py").is_file()
    assert not [*stored.folder.rglob("SOURCE.md")]
    assert not (stored.folder / package / "data" / "sample").exists()


@pytest.mark.usefixtures("loaded")  # what loading writes is looked at as well
def test_nothing_in_the_model_is_pickled(stored: Stored) -> None:
    files = [path for path in stored.folder.rglob("*") if path.is_file()]

    assert {".json", ".py", ".npz"} <= {path.suffix for path in files}
    assert not {path.suffix for path in files} & PICKLES
    assert not any(path.read_bytes()[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05") for path in files)
    for path in stored.folder.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(array.dtype != object for array in arrays.values())


def test_the_model_holds_the_bundle_that_services_read(stored: Stored) -> None:
    held = read_manifest(stored.folder / "artifacts" / "bundle", project=stored.small.project.name)
    assert held == read_manifest(stored.small.bundle)


@pytest.fixture
def served(stored: Stored) -> Iterator[httpx.Client]:
    """Run plain `mlflow models serve` from another folder."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", str(stored.folder), "-h", "127.0.0.1", "-p", str(port)]
    command += ["--env-manager", "local", "--workers", "1"]
    log = stored.elsewhere / "serve.log"
    with (
        start("mlflow models serve", command, log=log, folder=stored.elsewhere, environment=stored.environment) as run,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client,
    ):
        wait_until_ready(run, port, "/ping", seconds=90)
        yield client


@pytest.mark.long  # shared/tests/tracking/test_runs.py serves a toy in this way, and above is what MLflow calls
def test_mlflow_serves_the_same_answers(stored: Stored, served: httpx.Client) -> None:
    response = served.post("/invocations", json={"dataframe_records": stored.rows})
    refused = served.post("/invocations", json={"dataframe_records": [{"unheard": 1.0}]})

    assert response.status_code == 200, response.text
    assert response.json()["predictions"] == nearly(stored.expected)
    assert refused.status_code == 400
