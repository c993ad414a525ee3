"""`auto` is resolved; what was asked for by name is never replaced."""

from pathlib import Path

import pytest

from image_classifier.config import SCRATCH, FineTuneSettings, TrainConfig
from image_classifier.models import plan as module
from image_classifier.models.plan import plan
from portfolio_shared.data.sources import Source

SAMPLE = Source("sample", None, "Data: sample, because")
FULL = Source("full", Path("flowers.tar"), "Data: full, because")


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch):
    """Return a function: a source, whether weights can be had -> the names that were asked for."""

    def resolve(source: Source, *, at_hand: bool = True) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr(module, "resolve", lambda setting: source)
        monkeypatch.setattr(module, "imagenet_at_hand", lambda name: asked.append(name) or at_hand)
        return asked

    return resolve


def config(**settings: object) -> TrainConfig:
    return TrainConfig(tracking_uri="", **settings)


@pytest.mark.parametrize(
    ("settings", "source", "expected"),
    [
        ({}, SAMPLE, ("small_cnn", "none")),
        ({"data": "sample"}, SAMPLE, ("small_cnn", "none")),
        ({}, FULL, ("mobilenet_v2", "imagenet")),
        ({"data": "full"}, FULL, ("mobilenet_v2", "imagenet")),
        ({"data": "full", "weights": "some.pth"}, FULL, ("mobilenet_v2", "some.pth")),
        ({"data": "full", "weights": "none"}, FULL, ("mobilenet_v2", "none")),
        ({"data": "full", "backbone": "resnet18"}, FULL, ("resnet18", "imagenet")),
        ({"data": "full", "backbone": "small_cnn"}, FULL, ("small_cnn", "none")),
        ({"data": "sample", "backbone": "resnet18", "weights": "none"}, SAMPLE, ("resnet18", "none")),
        ({"weights": "some.pth"}, SAMPLE, ("mobilenet_v2", "some.pth")),
    ],
)
def test_auto_is_resolved(settings: dict, source: Source, expected: tuple[str, str], resolved) -> None:
    resolved(source)
    planned = plan(config(**settings))
    assert (planned.source, planned.settings.backbone, planned.settings.weights) == (source, *expected)


def test_without_weights_auto_takes_the_sample_and_says_so(resolved) -> None:
    asked = resolved(FULL, at_hand=False)
    planned = plan(config())
    assert asked == ["mobilenet_v2"]
    assert (planned.source.kind, planned.settings.backbone, planned.settings.weights) == ("sample", "small_cnn", "none")
    assert planned.settings.tuning == SCRATCH
    assert "sample, because the ImageNet weights of mobilenet_v2" in planned.source.reason
    assert "IMAGE_CLASSIFIER_TRAIN_WEIGHTS" in planned.source.reason


@pytest.mark.parametrize("settings", [{"data": "full"}, {"weights": "imagenet"}, {"backbone": "resnet18"}])
def test_what_was_asked_for_is_not_replaced_by_a_random_start(settings: dict[str, str], resolved) -> None:
    resolved(FULL, at_hand=False)
    planned = plan(config(**settings))
    assert planned.settings.weights == "imagenet"
    assert planned.settings.backbone == settings.get("backbone", "mobilenet_v2")
    assert planned.source is FULL


def test_the_settings_are_those_of_the_network(resolved) -> None:
    resolved(FULL)
    assert plan(config()).settings.tuning == FineTuneSettings()
    assert plan(config(backbone="small_cnn")).settings.tuning == SCRATCH
    assert plan(config(epochs=3)).settings.tuning == FineTuneSettings(epochs=3)
    # These take pictures of one side only, in training too.
    for backbone, side in {"vit_b_16": 224, "maxvit_t": 224, "vit_h_14": 518}.items():
        assert plan(config(backbone=backbone)).settings.tuning == FineTuneSettings(crop=side)
    # Pictures of another side in use have another side in training.
    assert plan(config(crop=112)).settings.tuning == FineTuneSettings(crop=96)
    assert plan(config(crop=32, backbone="small_cnn")).settings.tuning == SCRATCH.model_copy(update={"crop": 32})
