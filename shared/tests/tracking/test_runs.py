"""What training records, against a real MLflow server."""

import json
import os
import sys
import time
from pathlib import Path

import httpx
import pandas as pd
import pytest

from portfolio_shared.bundle import bundle_digest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.tracking.client import TrackingUnavailable, check_server, quiet_mlflow, tracking_client
from portfolio_shared.tracking.pyfunc_model import save_pyfunc
from portfolio_shared.tracking.runs import tracked_run
from processes import free_port, start, wait_until_ready

EXAMPLE = [{"area": 100, "kind": "villa"}, {"area": None, "kind": "flat"}, {"area": 50}]


@pytest.fixture
def run(mlflow_server):
    with tracked_run(mlflow_server, experiment="toy", run_name="a") as run:
        yield run


def fetch_run(run):
    with tracking_client(run.tracking_uri) as client:
        return client.get_run(run.run_id)


def test_a_run_keeps_the_manifests_parameters_and_data_tags_and_intervals(mlflow_server, toy_manifest):
    params = {"chosen": "trees", "rate": 0.1, "sizes": [1, 2], "nothing": None}
    many = {f"p{number}": number for number in range(120)}
    with tracked_run(mlflow_server, experiment="toy", run_name="first", tags={"git_commit": "abc"}) as run:
        run.log_manifest(toy_manifest(config=params | many))
        run.log_metrics({"error": Interval(0.5, 0.25, 0.75), "seconds": 2})
    stored = fetch_run(run)
    assert (stored.info.status, stored.info.run_name) == ("FINISHED", "trees on sample data")
    texts = {"chosen": "trees", "rate": "0.1", "sizes": "[1, 2]", "nothing": "null"}
    assert stored.data.params == texts | {name: str(number) for name, number in many.items()}
    assert stored.data.metrics == {"error": 0.5, "error_low": 0.25, "error_high": 0.75, "seconds": 2.0}
    assert stored.data.tags["git_commit"] == "abc"
    (dataset,) = stored.inputs.dataset_inputs
    assert dataset.dataset.name == "toy"
    assert json.loads(dataset.dataset.profile) == {"sha256": "a" * 64, "rows": {"train": 3}}
    assert json.loads(dataset.dataset.source) == {"source": "sample"}


@pytest.mark.parametrize("value", [float("nan"), Interval(1.0, float("-inf"), 2.0)])
def test_metrics_that_are_no_numbers_are_refused(run, value):
    with pytest.raises(ValueError, match="must be finite"):
        run.log_metrics({"fine": 1.0, "bad": value})
    assert fetch_run(run).data.metrics == {}


def test_a_logged_bundle_is_a_ready_model_of_its_run(run, bundle, toy_adapter):
    logged = run.log_bundle(bundle, adapter=toy_adapter, input_example=EXAMPLE, requirements=["numpy", "pandas"])
    assert logged.bundle_sha256 == bundle_digest(bundle)
    with tracking_client(run.tracking_uri) as client:
        assert client.get_logged_model(logged.model_id).status == "READY"
        assert [output.model_id for output in fetch_run(run).outputs.model_outputs] == [logged.model_id]


@pytest.mark.long
def test_mlflow_models_serve_answers_with_the_same_numbers(bundle, toy_adapter, load_toy, tmp_path):
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


def test_what_a_training_starts_from_is_left_out_and_the_rest_of_a_package_stays(bundle, toy_adapter, tmp_path):
    package = tmp_path / "toy"
    for name in ("SOURCE.md", "data/sample/SOURCE.md", "data/sample/more/SOURCE.md", "models/pretrained/trunk.bin"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    table = pd.DataFrame(EXAMPLE).astype({"area": "float64"})
    save_pyfunc(tmp_path / "model", bundle, toy_adapter, table, code_paths=[package])
    stored = tmp_path / "model" / "code" / "toy"
    assert sorted(str(path.relative_to(stored)) for path in stored.rglob("*")) == ["SOURCE.md", "data", "models"]


def test_an_adapter_that_cannot_predict_is_no_model(run, bundle, toy_adapter):
    with pytest.raises(ValueError, match="cannot predict the input example"):
        run.log_bundle(bundle, adapter=toy_adapter, input_example=[{"wrong_column": 1.0}])
    with tracking_client(run.tracking_uri) as client:
        models = client.search_logged_models([run.experiment_id], filter_string=f"source_run_id = '{run.run_id}'")
        assert [model.status for model in models] == ["FAILED"]


@pytest.mark.parametrize(
    ("example", "message"),
    [([], "is empty"), ([{"area": 1.0, "kind": None}, {"area": 2.0}], r"no value in \['kind'\]")],
)
def test_an_example_that_says_too_little_is_refused(run, bundle, toy_adapter, example, *, message):
    with pytest.raises(ValueError, match=message):
        run.log_bundle(bundle, adapter=toy_adapter, input_example=example)


def global_state():
    with quiet_mlflow():
        import mlflow

        uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    return *uris, mlflow.active_run(), mlflow.get_active_model_id(), dict(os.environ), sys.path[:]


def test_nothing_is_printed_and_no_global_state_changes(mlflow_server, bundle, toy_adapter, capfd):
    before = global_state()
    with tracked_run(mlflow_server, experiment="toy", run_name="quiet") as run:
        run.log_bundle(bundle, adapter=toy_adapter, input_example=EXAMPLE)
    assert global_state() == before
    assert capfd.readouterr() == ("", "")


def test_what_the_user_set_is_kept(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with quiet_mlflow():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


def test_a_server_that_is_away_is_reported_soon_with_what_to_do(unused_uri):
    began = time.monotonic()
    with pytest.raises(TrackingUnavailable, match="start one with `make mlflow`, or set MLFLOW_TRACKING_URI"):
        check_server(unused_uri)
    assert time.monotonic() - began < 5.0  # the bound that a person relies on, not a measurement


@pytest.mark.parametrize(("status", "body"), [(404, b"some other service"), (403, b"Invalid Host header")])
def test_a_server_that_is_not_mlflow_is_named(fake_registry, status, body):
    fake_registry.overrides["/api/2.0/mlflow/experiments/search"] = (status, body)
    with pytest.raises(TrackingUnavailable, match=f"answered {status} '{body.decode()}'"):
        check_server(fake_registry.uri)


@pytest.mark.long
@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "mlruns"])
def test_a_tracking_uri_must_be_a_server(uri):
    with pytest.raises(TrackingUnavailable, match="expected http"):
        check_server(uri)
