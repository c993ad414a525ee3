"""Resolve every `auto` of a training before a picture is read: which data, which network, which weights."""

from dataclasses import dataclass

from image_classifier.config import SCRATCH, FineTuneSettings, ModelSettings, TrainConfig
from image_classifier.data.load import is_sample, resolve
from image_classifier.models.backbones import only_crop
from image_classifier.models.weights import SMALL, imagenet_at_hand
from portfolio_shared.data.sources import Source

USUAL = "mobilenet_v2"
CROP_SHARE = 6 / 7
"""Side of the pictures in training over their side in use: 192 of 224."""


@dataclass(frozen=True)
class Plan:
    """Where the pictures come from, and what learns from them."""

    source: Source
    settings: ModelSettings


def plan(config: TrainConfig) -> Plan:
    """Resolve every `auto` of the configuration.

    On the drawn sample a small network learns from nothing. On real pictures a pretrained one is used; with
    everything on ``auto`` and no weights to be had, the sample is taken instead, and the reason says so; what was
    asked for by name is never replaced.
    """
    source, backbone, weights = resolve(config.data), config.backbone, config.weights
    nothing_asked = config.data == backbone == weights == "auto"
    if backbone == "auto":
        backbone = SMALL if is_sample(source) and weights in ("auto", "none") else USUAL
    if weights == "auto":
        weights = "none" if backbone == SMALL else "imagenet"
    if nothing_asked and weights == "imagenet" and not imagenet_at_hand(backbone):
        reason = (
            f"Data: sample, because the ImageNet weights of {backbone} are neither in the cache nor to be downloaded "
            "(IMAGE_CLASSIFIER_TRAIN_WEIGHTS may name a file)"
        )
        source, backbone, weights = Source("sample", None, reason), SMALL, "none"
    tuning = SCRATCH if backbone == SMALL else FineTuneSettings()
    if config.epochs is not None:
        tuning = tuning.model_copy(update={"epochs": config.epochs})
    if (side := only_crop(backbone)) is not None:
        tuning = tuning.model_copy(update={"crop": side})
    elif config.crop is not None:
        # Random crops show things larger than they are in use, so they may be smaller by as much.
        share = 1 if backbone == SMALL else CROP_SHARE
        tuning = tuning.model_copy(update={"crop": round(config.crop * share)})
    settings = ModelSettings(
        backbone=backbone,
        weights=weights,
        crop=config.crop,
        recipe=config.recipe,
        coverage=config.coverage,
        tuning=tuning,
    )
    return Plan(source, settings)
