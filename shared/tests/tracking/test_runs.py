"""What training records, against a real MLflow server."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from portfolio_shared.bundle import BundleError, bundle_digest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.tracking.client import TrackingUnavailable, check_server, quiet_mlflow, tracking_client
from portfolio_shared.tracking.pyfunc_model import save_pyfunc
from portfolio_shared.tracking.runs import Run, tracked_run
from processes import free_port, start, wait_until_ready

EXAMPLE: list[dict[str, object]] = [{"area": 100, "kind": "villa"}, {"area": None, "kind": "flat"}, {"area": 50}]
ROWS = [(100.0, "villa"), (None, "flat"), (50.0, None), (12.25, "villa")]


@pytest.fixture
def run(mlflow_server: str) -> Iterator[Run]:
    with tracked_run(mlflow_server, experiment="toy", run_name="a", params={}, tags={}) as run:
        yield run


def fetch_run(run: Run) -> Any:
    with tracking_client(run.tracking_uri) as client:
        return client.get_run(run.run_id)


def test_a_run_keeps_parameters_tags_and_intervals(mlflow_server: str) -> None:
    params = {"depth": 3, "rate": 0.1, "name": "trees", "sizes": [1, 2], "path": Path("a/b"), "nothing": None}
    many = {f"p{number}": number for number in range(120)}
    with tracked_run(
        mlflow_server, experiment="toy", run_name="first", params=params | many, tags={"git_commit": "abc"}
    ) as run:
        run.log_metrics({"error": Interval(0.5, 0.25, 0.75), "seconds": 2})
    stored = fetch_run(run)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "first"
    assert stored.data.params == {
        "depth": "3",
        "rate": "0.1",
        "name": "trees",
        "sizes": "[1, 2]",
        "path": "a/b",
        "nothing": "null",
    } | {name: str(number) for name, number in many.items()}
    assert stored.data.metrics == {"error": 0.5, "error_low": 0.25, "error_high": 0.75, "seconds": 2.0}
    assert stored.data.tags["git_commit"] == "abc"


def test_an_exception_marks_the_run_as_failed_and_reaches_the_caller(mlflow_server: str) -> None:
    runs = []

    def training() -> None:
        with tracked_run(mlflow_server, experiment="toy", run_name="bad", params={}, tags={}) as run:
            runs.append(run)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        training()
    assert fetch_run(runs[0]).info.status == "FAILED"


@pytest.mark.parametrize("value", [float("nan"), Interval(1.0, float("-inf"), 2.0)])
def test_metrics_that_are_no_numbers_are_refused(run: Run, value: Interval | float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        run.log_metrics({"fine": 1.0, "bad": value})
    assert fetch_run(run).data.metrics == {}


def test_children_data_and_figures_hang_below_the_run(run: Run, tmp_path: Path) -> None:
    run.child("ridge", {"alpha": 1.0}, {"error": Interval(0.2, 0.1, 0.3)})
    run.log_dataset("ames", "c" * 64, {"train": 10, "test": 5}, "full")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "residuals.svg").write_text("<svg/>")
    run.log_folder(tmp_path / "figures", "figures")
    with tracking_client(run.tracking_uri) as client:
        query = f"tags.`mlflow.parentRunId` = '{run.run_id}'"
        (child,) = client.search_runs([run.experiment_id], query)
        assert (child.info.run_name, child.info.status) == ("ridge", "FINISHED")
        assert child.data.params == {"alpha": "1.0"}
        assert child.data.metrics == {"error": 0.2, "error_low": 0.1, "error_high": 0.3}
        assert [file.path for file in client.list_artifacts(run.run_id, "figures")] == ["figures/residuals.svg"]
    (dataset,) = fetch_run(run).inputs.dataset_inputs
    assert dataset.dataset.name == "ames"
    assert json.loads(dataset.dataset.profile) == {"sha256": "c" * 64, "rows": {"train": 10, "test": 5}}
    assert json.loads(dataset.dataset.source) == {"source": "full"}
    with pytest.raises(NotADirectoryError, match="missing"):
        run.log_folder(tmp_path / "missing", "figures")


def test_a_logged_bundle_is_a_model_that_predicts_the_same(
    run: Run, bundle: Path, toy_adapter: Path, load_toy: Callable[[Path], Any], tmp_path: Path
) -> None:
    logged = run.log_bundle(bundle, adapter=toy_adapter, input_example=EXAMPLE, requirements=["numpy", "pandas"])
    assert (logged.run_id, logged.bundle_sha256) == (run.run_id, bundle_digest(bundle))
    with quiet_mlflow(), pytest.MonkeyPatch.context() as patch:
        import mlflow.artifacts
        import mlflow.pyfunc

        patch.setenv("MLFLOW_TRACKING_URI", run.tracking_uri)
        folder = Path(mlflow.artifacts.download_artifacts(logged.uri, dst_path=str(tmp_path / "model")))
        model = mlflow.pyfunc.load_model(str(folder))
    served = model.predict(pd.DataFrame(ROWS, columns=["area", "kind"]))["price"].tolist()
    toy = load_toy(bundle)
    assert served == [toy.predict(area, kind) for area, kind in ROWS]
    inputs = {column.name: (column.type.name, column.required) for column in model.metadata.signature.inputs}
    assert inputs == {"area": ("double", False), "kind": ("string", False)}
    stored = sorted(path for path in folder.rglob("*") if path.is_file())
    assert bundle_digest(folder / "artifacts" / "bundle") == logged.bundle_sha256
    assert not [path for path in stored if path.suffix in {".pkl", ".pickle", ".joblib", ".pt"}]
    # Protocol 2 and above start with this byte, whatever the file is called.
    assert not [path for path in stored if path.read_bytes().startswith(b"\x80")]
    requirements = (folder / "requirements.txt").read_text().split()
    assert f"numpy=={sys.modules['numpy'].__version__}" in requirements
    with tracking_client(run.tracking_uri) as client:
        assert client.get_logged_model(logged.model_id).status == "READY"
        assert [output.model_id for output in fetch_run(run).outputs.model_outputs] == [logged.model_id]


@pytest.mark.slow
def test_mlflow_models_serve_answers_with_the_same_numbers(
    bundle: Path, toy_adapter: Path, load_toy: Callable[[Path], Any], tmp_path: Path
) -> None:
    save_pyfunc(tmp_path / "model", bundle, toy_adapter, pd.DataFrame(EXAMPLE).astype({"area": "float64"}))
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(tmp_path / "model"), "-p", str(port)]
    command += ["--env-manager", "local", "--workers", "1"]
    # It starts uvicorn by name, as if the virtual environment were activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    with start("mlflow models serve", command, log=tmp_path / "log", environment=environment) as process:
        wait_until_ready(process, port, "/ping")
        # As JSON has them: an integer, a null and a missing field.
        records = [{"area": 100, "kind": "villa"}, {"area": None, "kind": "flat"}, {"area": 50.5}]
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json={"dataframe_records": records}, timeout=30)
    assert answer.status_code == 200, answer.text
    toy = load_toy(bundle)
    expected = [toy.predict(100.0, "villa"), toy.predict(None, "flat"), toy.predict(50.5)]
    assert [row["price"] for row in answer.json()["predictions"]] == expected


def test_an_adapter_that_cannot_predict_is_no_model(run: Run, bundle: Path, toy_adapter: Path) -> None:
    with pytest.raises(ValueError, match="cannot predict the input example"):
        run.log_bundle(bundle, adapter=toy_adapter, input_example=[{"wrong_column": 1.0}])
    with tracking_client(run.tracking_uri) as client:
        models = client.search_logged_models([run.experiment_id], filter_string=f"source_run_id = '{run.run_id}'")
        assert [model.status for model in models] == ["FAILED"]


@pytest.mark.parametrize(
    ("example", "message"),
    [([], "is empty"), ([{"area": 1.0, "kind": None}, {"area": 2.0}], r"no value in \['kind'\]")],
)
def test_an_example_that_says_too_little_is_refused(
    run: Run, bundle: Path, toy_adapter: Path, example: list[dict[str, object]], *, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run.log_bundle(bundle, adapter=toy_adapter, input_example=example)


def test_a_damaged_bundle_is_not_logged(run: Run, bundle: Path, toy_adapter: Path) -> None:
    (bundle / "params.npz").write_bytes(b"")
    with pytest.raises(BundleError, match=r"params\.npz"):
        run.log_bundle(bundle, adapter=toy_adapter, input_example=EXAMPLE)


def global_state() -> tuple[object, ...]:
    with quiet_mlflow():
        import mlflow

        uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    return *uris, mlflow.active_run(), mlflow.get_active_model_id(), dict(os.environ), sys.path[:]


def test_nothing_is_printed_and_no_global_state_changes(
    mlflow_server: str, bundle: Path, toy_adapter: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with quiet_mlflow():
        import mlflow

        before = (
            mlflow.get_tracking_uri(),
            mlflow.get_registry_uri(),
            mlflow.active_run(),
            dict(os.environ),
            sys.path[:],
        )
    with tracked_run(mlflow_server, experiment="toy", run_name="quiet", params={"a": 1}, tags={}) as run:
        run.log_bundle(bundle, adapter=toy_adapter, input_example=EXAMPLE)
    with quiet_mlflow():
        after = (
            mlflow.get_tracking_uri(),
            mlflow.get_registry_uri(),
            mlflow.active_run(),
            dict(os.environ),
            sys.path[:],
        )
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_what_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with quiet_mlflow():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


def test_a_server_that_is_away_is_reported_soon_with_what_to_do(unused_uri: str) -> None:
    began = time.monotonic()
    with (
        pytest.raises(TrackingUnavailable, match="start one with `make mlflow`, or set MLFLOW_TRACKING_URI"),
        tracked_run(tracking_uri=unused_uri, experiment="toy", run_name="a", params={}, tags={}),
    ):
        pass
    assert time.monotonic() - began < 5.0  # the bound that a person relies on, not a measurement


@pytest.mark.parametrize(("status", "body"), [(404, b"some other service"), (403, b"Invalid Host header")])
def test_a_server_that_is_not_mlflow_is_said_so(fake_registry: Any, status: int, body: bytes) -> None:
    fake_registry.overrides["/api/2.0/mlflow/experiments/search"] = (status, body)
    with (
        pytest.raises(TrackingUnavailable, match=f"answered {status} '{body.decode()}'"),
        tracking_client(fake_registry.uri),
    ):
        pass


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "mlruns"])
def test_a_tracking_uri_must_be_a_server(uri: str) -> None:
    with pytest.raises(TrackingUnavailable, match="expected http"):
        check_server(uri)
