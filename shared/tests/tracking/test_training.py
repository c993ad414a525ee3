"""What a training leaves in MLflow, told by the manifest."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portfolio_shared.bundle import Manifest
from portfolio_shared.tracking import training
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import GateDecision, ModelVersion
from portfolio_shared.tracking.training import register_and_gate, training_run

MakeManifest = Callable[..., Manifest]


@pytest.mark.slow
def test_the_run_is_what_the_manifest_says(mlflow_server: str, toy_manifest: MakeManifest) -> None:
    manifest = toy_manifest(config={"chosen": "ridge", "seed": 3})
    with training_run(manifest, tracking_uri=mlflow_server) as run:
        run.log_metrics({"error": 0.5})

    with tracking_client(mlflow_server) as client:
        stored = client.get_run(run.run_id)
        experiment = client.get_experiment(stored.info.experiment_id).name
    assert (experiment, stored.info.run_name, stored.info.status) == ("toy", "ridge on sample data", "FINISHED")
    assert stored.data.params["seed"] == "3"
    assert (stored.data.tags["git_commit"], stored.data.tags["data_source"]) == ("0123456", "sample")
    (logged,) = stored.inputs.dataset_inputs
    assert logged.dataset.name == "toy"


@pytest.mark.parametrize(("promote", "alias"), [(True, "champion"), (False, "challenger")])
def test_a_version_is_registered_and_gated(
    monkeypatch: pytest.MonkeyPatch, toy_manifest: MakeManifest, promote: bool, alias: str
) -> None:
    calls: list[dict[str, Any]] = []

    def register(run: object, logged: object, *, name: str, manifest: Manifest) -> ModelVersion:
        calls.append({"run": run, "logged": logged, "manifest": manifest})
        return ModelVersion(name, "7", "r", "0" * 64, "sample")

    def pass_gate(version: ModelVersion, load: object, compare: object, **options: str) -> GateDecision:
        calls.append({"version": version.version, "load": load, "compare": compare, **options})
        return GateDecision(promote=promote, reason="because", comparison=None)

    monkeypatch.setattr(training, "register", register)
    monkeypatch.setattr(training, "pass_gate", pass_gate)
    run: Any = SimpleNamespace(tracking_uri="http://here:1")
    logged: Any = object()
    compare: Any = object()
    manifest = toy_manifest()

    said = register_and_gate(run, logged, manifest, name="model", load=Path.exists, compare=compare)

    assert said == f"Registered model version 7 as {alias}: because"
    assert calls == [
        {"run": run, "logged": logged, "manifest": manifest},
        {
            "version": "7",
            "load": Path.exists,
            "compare": compare,
            "test_split_sha256": manifest.data.test_split_sha256,
            "tracking_uri": "http://here:1",
        },
    ]
