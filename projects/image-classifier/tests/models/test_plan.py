"""`auto` is resolved; what was asked for by name is never replaced, and torch is missed at once and by name."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from image_classifier.config import FineTuneSettings, TrainConfig
from image_classifier.models import plan as module
from image_classifier.models import weights
from image_classifier.models.plan import MissingTorchError, plan


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch):
    """Return a function: whether torchvision's weights can be had -> the networks that were asked for."""

    def answer(*, reachable: bool) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr(weights, "imagenet_at_hand", lambda name: asked.append(name) or reachable)
        return asked

    return answer


def config(**settings: object) -> TrainConfig:
    return TrainConfig(tracking_uri="", **settings)


@pytest.mark.parametrize(
    ("settings", "reachable", "expected", "asked"),
    [
        ({"recipe": "quick"}, True, ("mobilenet_v2", "shipped"), False),
        ({}, True, ("mobilenet_v2", "imagenet"), True),
        ({}, False, ("mobilenet_v2", "shipped"), True),
        ({"weights": "imagenet"}, True, ("mobilenet_v2", "imagenet"), True),
        ({"weights": "shipped"}, True, ("mobilenet_v2", "shipped"), False),
        ({"weights": __file__, "recipe": "quick"}, False, ("mobilenet_v2", __file__), False),
        ({"backbone": "resnet18"}, True, ("resnet18", "imagenet"), True),
        ({"backbone": "resnet18", "recipe": "quick"}, True, ("resnet18", "imagenet"), True),
    ],
)
def test_auto_is_resolved(settings: dict, reachable: bool, expected: tuple[str, str], asked: bool, at_hand) -> None:
    names = at_hand(reachable=reachable)
    planned = plan(config(**settings))
    assert (planned.backbone, planned.weights) == expected
    assert names == ([expected[0]] if asked else [])


def test_that_the_shipped_weights_stand_in_is_said_in_a_line(at_hand) -> None:
    at_hand(reachable=False)
    console = Console(file=io.StringIO(), width=200)
    plan(config(), console)
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith("Weights: shipped, because torchvision's of mobilenet_v2 are neither in the cache")


def test_the_shipped_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="weights='shipped': they are those of mobilenet_v2, and backbone='resnet18'"):
        plan(config(backbone="resnet18", weights="shipped"))


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet18"])
def test_weights_that_cannot_be_had_are_said_at_once(backbone: str, at_hand) -> None:
    at_hand(reachable=False)
    asked = {"weights": "imagenet"} if backbone == "mobilenet_v2" else {}
    with pytest.raises(weights.WeightsError, match=rf"of {backbone} .*IMAGE_CLASSIFIER_TRAIN_WEIGHTS"):
        plan(config(backbone=backbone, **asked))


def test_a_file_of_weights_that_is_not_there_is_said_before_torch_is_loaded() -> None:
    code = """
import sys
from image_classifier.config import TrainConfig
from image_classifier.models.plan import plan
try:
    plan(TrainConfig(weights="gone.pth", tracking_uri=""))
except ValueError as error:
    said = "(--weights, IMAGE_CLASSIFIER_TRAIN_WEIGHTS): there is no such file" in str(error)
    sys.exit("torch" in sys.modules or not said)
sys.exit("it was not refused")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "fine-tuning"),
        ({"recipe": "quick", "weights": "imagenet"}, "backbone='mobilenet_v2', weights='imagenet'"),
        ({"recipe": "quick", "backbone": "resnet18"}, "backbone='resnet18', weights='auto'"),
    ],
)
def test_without_torch_a_training_that_needs_it_is_refused_at_once(settings: dict, what: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(
        MissingTorchError, match=rf"{what} needs torch, not installed here: run `make setup`.*RECIPE=full"
    ):
        plan(config(**settings))
    assert plan(config(recipe="quick")).weights == "shipped"  # the probe needs none


def test_the_settings_are_those_of_the_network(at_hand) -> None:
    at_hand(reachable=True)
    assert plan(config()).tuning == FineTuneSettings()
    assert plan(config(epochs=3)).tuning == FineTuneSettings(epochs=3)
    # These take pictures of one side only, in training too.
    for backbone, side in {"vit_b_16": 224, "maxvit_t": 224, "vit_h_14": 518}.items():
        assert plan(config(backbone=backbone)).tuning == FineTuneSettings(crop=side)
    # Pictures of another side in use have another side in training.
    assert plan(config(crop=112)).tuning == FineTuneSettings(crop=96)
