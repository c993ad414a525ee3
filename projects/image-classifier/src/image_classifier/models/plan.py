"""What `auto` comes to: which pictures, which network, which weights; decided before anything is computed."""

from dataclasses import dataclass

from image_classifier.config import SCRATCH, FineTuneSettings, TrainConfig
from image_classifier.data.load import Photos, load_photos, resolve
from image_classifier.models.backbones import SMALL, imagenet_at_hand, only_crop
from portfolio_shared.data.sources import Source

USUAL = "mobilenet_v2"
CROP_SHARE = 6 / 7
"""Side of the pictures in training over their side in use: 192 of 224."""


@dataclass(frozen=True)
class Plan:
    """Pictures, network and settings of a training, and why."""

    photos: Photos
    backbone: str
    weights: str
    settings: FineTuneSettings
    reason: str


@dataclass(frozen=True)
class Choice:
    """Where the pictures come from, and which network learns from them."""

    source: Source
    backbone: str
    weights: str


def plan(config: TrainConfig) -> Plan:
    """Resolve every `auto` of the configuration, and read the pictures."""
    choice = choose_source(config)
    settings = SCRATCH if choice.backbone == SMALL else FineTuneSettings()
    if config.epochs is not None:
        settings = settings.model_copy(update={"epochs": config.epochs})
    if (side := only_crop(choice.backbone)) is not None:
        settings = settings.model_copy(update={"crop": side})
    elif config.crop is not None:
        # Random crops show things larger than they are in use, so they may be smaller by as much.
        share = 1 if choice.backbone == SMALL else CROP_SHARE
        settings = settings.model_copy(update={"crop": round(config.crop * share)})
    return Plan(load_photos(choice.source), choice.backbone, choice.weights, settings, choice.source.reason)


def choose_source(config: TrainConfig) -> Choice:
    """Resolve every `auto` without reading a picture.

    On the drawn sample a small network learns from nothing. On real pictures a pretrained one is used; with
    everything on ``auto`` and no weights to be had, the sample is taken instead, and the reason says so; what was
    asked for by name is never replaced.
    """
    source = resolve(config.data)
    backbone = config.backbone
    if backbone == "auto":
        backbone = SMALL if source.kind == "sample" and config.weights in ("auto", "none") else USUAL
    weights = config.weights
    if weights == "auto":
        weights = "none" if backbone == SMALL else "imagenet"
    nothing_asked = config.data == config.backbone == config.weights == "auto"
    if nothing_asked and weights == "imagenet" and not imagenet_at_hand(backbone):
        reason = (
            f"Data: sample, because the ImageNet weights of {backbone} are neither in the cache nor to be downloaded "
            "(IMAGE_CLASSIFIER_TRAIN_WEIGHTS may name a file)"
        )
        return Choice(Source("sample", None, reason), SMALL, "none")
    return Choice(source, backbone, weights)
