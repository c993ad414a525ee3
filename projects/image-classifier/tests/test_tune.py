"""The budgeted comparison as a command: nothing is lost if it is stopped."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from image_classifier import tune as module
from image_classifier.config import TuneConfig
from image_classifier.data.load import load
from image_classifier.evaluation.ablation import Step
from image_classifier.tune import tune
from portfolio_shared.evaluation.uncertainty import Interval

STEPS = [Step(name, Interval(0.9, 0.8, 1.0), Interval(0.3, 0.2, 0.4)) for name in ("linear probe", "fine-tuned")]


@pytest.fixture
def config(pets_config, tmp_path) -> TuneConfig:
    output = tmp_path / "docs" / "ablation.json"
    return TuneConfig(data=pets_config.data, epochs=1, crop=32, threads=1, work=tmp_path / "work", output=output)


def test_every_variant_has_the_same_budget_and_is_written(config, monkeypatch):
    def ablate(parts, settings, *, seed, compute, console, on_step):
        assert (settings.tuning.epochs, settings.tuning.patience, settings.tuning.crop) == (1, 1, 32)
        assert (settings.backbone, settings.weights) == ("mobilenet_v2", "shipped")
        assert (compute.work, seed) == (config.work, 0)
        assert parts.labels == ("cat", "dog")
        for step in STEPS:
            on_step(step)

    monkeypatch.setattr(module, "ablate", ablate)
    tune(config, Console(quiet=True))
    recorded = json.loads(config.output.read_text(encoding="utf-8"))
    assert (recorded["epochs"], recorded["crop"], recorded["data"]) == (1, 32, "pictures in pets")
    assert [row["name"] for row in recorded["steps"]] == ["linear probe", "fine-tuned"]
    assert recorded["steps"][0]["accuracy"] == {"estimate": 0.9, "low": 0.8, "high": 1.0}


def test_what_was_measured_is_kept_if_the_rest_is_stopped(config, monkeypatch):
    def until_the_second(*_, on_step, **__):
        on_step(STEPS[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "ablate", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        tune(config, Console(quiet=True))
    recorded = json.loads(config.output.read_text(encoding="utf-8"))
    assert [row["name"] for row in recorded["steps"]] == ["linear probe"]


@pytest.mark.parametrize(("kind", "file"), [("full", "docs/ablation.json"), ("path", "work/ablation.json")])
def test_only_a_measurement_of_the_public_data_is_the_readmes(config, tmp_path, monkeypatch, kind, file):
    pets = load(config.data)
    monkeypatch.setattr(module, "load", lambda setting: replace(pets, source=replace(pets.source, kind=kind)))
    monkeypatch.setattr(module, "COMMITTED", tmp_path / "docs" / "ablation.json")
    monkeypatch.setattr(module, "ablate", lambda *_, on_step, **__: on_step(STEPS[0]))
    tune(config.model_copy(update={"output": None}), Console(quiet=True))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("ablation.json")] == [file]


@pytest.mark.long
def test_each_training_is_a_child_run_where_there_is_a_server(config, monkeypatch, mlflow_server):
    from portfolio_shared.tracking.client import tracking_client

    monkeypatch.setattr(module, "ablate", lambda *_, on_step, **__: [on_step(step) for step in STEPS])
    tune(config.model_copy(update={"tracking_uri": mlflow_server}), Console(quiet=True))
    with tracking_client(mlflow_server) as client:
        experiment = client.get_experiment_by_name("image-classifier").experiment_id
        (parent,) = client.search_runs([experiment], "tags.mlflow.runName = 'ablation'", max_results=5)
        children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", max_results=5)
    assert {child.info.run_name: child.data.metrics["log_loss"] for child in children} == {
        "linear probe": 0.3,
        "fine-tuned": 0.3,
    }
