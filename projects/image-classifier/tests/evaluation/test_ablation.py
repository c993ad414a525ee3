"""The ablation: variants that differ in what their names say, each trained apart and measured."""

import pytest

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import load, split
from image_classifier.evaluation import ablation as module
from image_classifier.evaluation.ablation import Variant, ablate, variants

NAMES = [
    "linear probe",
    "fine-tuned, no augmentation",
    "fine-tuned, basic augmentation",
    "fine-tuned, strong augmentation",
    "the same, not from the probe's head",
    "the same, weights not averaged",
]
TUNING = FineTuneSettings(epochs=1, patience=1, crop=32)
SETTINGS = ModelSettings(backbone="mobilenet_v2", weights="shipped", crop=32, tuning=TUNING)


def test_variants_differ_in_what_their_names_say():
    by_name = {variant.name: variant for variant in variants(SETTINGS)}
    assert list(by_name) == NAMES
    usual = by_name["fine-tuned, strong augmentation"]
    assert usual == Variant("fine-tuned, strong augmentation", SETTINGS)

    def changes(name: str) -> dict[str, object]:
        variant = by_name[name]
        ours, theirs = variant.settings.model_dump(), usual.settings.model_dump()
        changed = {key: value for key, value in ours.pop("tuning").items() if value != theirs["tuning"][key]}
        changed |= {key: value for key, value in ours.items() if value != theirs[key]}
        return changed if variant.from_probe else changed | {"from_probe": False}

    assert changes("linear probe") == {"recipe": "quick"}
    assert changes("fine-tuned, no augmentation") == {"augmentation": "none"}
    assert changes("fine-tuned, basic augmentation") == {"augmentation": "basic"}
    assert changes("the same, not from the probe's head") == {"from_probe": False}
    assert changes("the same, weights not averaged") == {"averaging": 0.0}


@pytest.mark.long  # seven trainings
def test_probe_and_fine_tunings_are_trained_apart_and_measured(pets_config, tmp_path, monkeypatch):
    """A variant must not go on from the checkpoint of another: that of the probe's head and that of a random one."""
    wanted = [NAMES[0], NAMES[3], NAMES[4]]
    chosen = [variant for variant in variants(SETTINGS) if variant.name in wanted]
    monkeypatch.setattr(module, "variants", lambda settings: chosen)
    seen = []
    parts = split(load(pets_config.data))
    steps = ablate(parts, SETTINGS, compute=Compute(device="cpu", work=tmp_path), on_step=seen.append)
    assert [step.name for step in steps] == wanted
    assert seen == steps
    assert len({step.log_loss.estimate for step in steps}) == 3
    for step in steps:
        assert step.accuracy.low <= step.accuracy.estimate <= step.accuracy.high
    checkpoints = sorted(path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.safetensors"))
    assert checkpoints == ["probe", "random"]


def test_what_was_measured_is_handed_on_before_the_rest_is_trained(monkeypatch):
    def until_the_third(variant, *_, **__):
        if variant.name == NAMES[2]:
            raise KeyboardInterrupt
        return variant.name

    monkeypatch.setattr(module, "_measure", until_the_third)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        ablate(None, SETTINGS, on_step=seen.append)
    assert seen == NAMES[:2]
