"""The ablation: steps that differ in what their names say, and nothing lost if it is stopped."""

import json

import pytest
from rich.console import Console

from image_classifier.config import AblationConfig
from image_classifier.evaluation import ablation as ablation_module
from image_classifier.evaluation.ablation import Step, ablation, ablation_table, steps
from portfolio_shared.evaluation.uncertainty import Interval

NAMES = [
    "from scratch, strong augmentation",
    "linear probe",
    "fine-tuned, no augmentation",
    "fine-tuned, basic augmentation",
    "fine-tuned, strong augmentation",
    "the same, not from the probe's head",
    "the same, weights not averaged",
]


@pytest.fixture
def config(pets_config, tmp_path) -> AblationConfig:
    return AblationConfig(
        data=pets_config.data,
        weights="none",
        epochs=1,
        crop=32,
        threads=1,
        work=tmp_path / "work",
        output=tmp_path / "docs" / "ablation.json",
    )


@pytest.fixture
def small(monkeypatch):
    """The small network in place of the pretrained one."""
    monkeypatch.setattr(ablation_module, "USUAL", "small_cnn")


def quiet() -> Console:
    return Console(quiet=True)


def test_steps_differ_in_what_their_names_say():
    found = {step.name: step for step in steps(epochs=3, crop=128)}
    assert list(found) == NAMES
    usual = found["fine-tuned, strong augmentation"]
    assert (usual.settings.augmentation, usual.pretrained, usual.from_probe) == ("strong", True, True)

    def changes(name: str) -> dict[str, object]:
        step = found[name]
        told = step.settings.model_dump()
        return {key: value for key, value in told.items() if value != usual.settings.model_dump()[key]} | {
            key: getattr(step, key) for key in ("pretrained", "from_probe") if not getattr(step, key)
        }

    assert found["linear probe"] == Step("linear probe", None)
    assert changes("fine-tuned, no augmentation") == {"augmentation": "none"}
    assert changes("fine-tuned, basic augmentation") == {"augmentation": "basic"}
    assert changes("the same, not from the probe's head") == {"from_probe": False}
    assert changes("the same, weights not averaged") == {"averaging": 0.0}
    assert changes("from scratch, strong augmentation") == {"rate": 2e-3, "pretrained": False, "from_probe": False}


def test_the_budget_is_the_same_for_all():
    for step in steps(epochs=3, crop=96):
        if step.settings is not None:
            assert (step.settings.epochs, step.settings.patience, step.settings.crop) == (3, 3, 96)


@pytest.mark.usefixtures("small")
def test_probe_and_fine_tunings_are_trained_apart_and_measured(config, monkeypatch):
    """A step must not go on from the checkpoint of another: that of the probe's head and that of a random one."""
    chosen = {step.name: step for step in steps(config.epochs, config.crop)}
    wanted = [chosen[name] for name in (NAMES[1], NAMES[4], NAMES[5])]
    monkeypatch.setattr(ablation_module, "steps", lambda epochs, crop: wanted)
    ablation(config, quiet())
    recorded = json.loads(config.output.read_text(encoding="utf-8"))
    assert (recorded["epochs"], recorded["crop"], recorded["data"]) == (1, 32, "pictures in pets")
    assert [row["name"] for row in recorded["steps"]] == [step.name for step in wanted]
    losses = [row["log_loss"]["estimate"] for row in recorded["steps"]]
    assert len(set(losses)) == 3
    for row in recorded["steps"]:
        assert row["accuracy"]["low"] <= row["accuracy"]["estimate"] <= row["accuracy"]["high"]
    checkpoints = sorted(path.relative_to(config.work).parts[0] for path in config.work.rglob("*.safetensors"))
    assert checkpoints == ["probe", "random"]


def test_what_was_measured_is_kept_if_the_rest_is_stopped(config, monkeypatch):
    measured = {"accuracy": Interval(0.9, 0.8, 1.0), "log_loss": Interval(0.3, 0.2, 0.4), "f1_macro": Interval(0, 0, 0)}

    def until_the_third(step, *_):
        if step.name == NAMES[2]:
            raise KeyboardInterrupt
        return measured

    monkeypatch.setattr(ablation_module, "_measure", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        ablation(config, quiet())
    recorded = json.loads(config.output.read_text(encoding="utf-8"))
    assert [row["name"] for row in recorded["steps"]] == NAMES[:2]
    assert recorded["steps"][0]["accuracy"] == {"estimate": 0.9, "low": 0.8, "high": 1.0}


def test_the_table_says_the_budget_and_every_step():
    recorded = {
        "epochs": 3,
        "crop": 128,
        "steps": [
            {
                "name": "linear probe",
                "accuracy": {"estimate": 0.935, "low": 0.92, "high": 0.95},
                "log_loss": {"estimate": 0.2, "low": 0.15, "high": 0.25},
            }
        ],
    }
    assert ablation_table(recorded).splitlines() == [
        "| 3 epochs at 128 pixels | validation accuracy | validation log loss |",
        "| --- | ---: | ---: |",
        "| linear probe | 0.935 (0.920 to 0.950) | 0.200 (0.150 to 0.250) |",
    ]
