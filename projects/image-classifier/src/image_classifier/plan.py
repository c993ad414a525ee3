"""What `auto` comes to: which pictures, which network, which weights; decided before anything is computed."""

from dataclasses import dataclass

from image_classifier.backbones import SMALL, imagenet_at_hand
from image_classifier.config import SCRATCH, FineTuneSettings, TrainConfig
from image_classifier.data import Photos, load_photos, resolve

USUAL = "mobilenet_v2"


@dataclass(frozen=True)
class Plan:
    """Pictures, network and settings of a training, and why."""

    photos: Photos
    backbone: str
    weights: str
    settings: FineTuneSettings
    reason: str


def plan(config: TrainConfig) -> Plan:
    """Resolve every `auto` of the configuration.

    On the drawn sample a small network learns from nothing. On real pictures a pretrained one is used; with
    ``data=auto`` and no weights to be had, the sample is taken instead, and the reason says so.
    """
    source = resolve(config.data)
    backbone = config.backbone
    if backbone == "auto":
        backbone = SMALL if source.kind == "sample" else USUAL
    weights = config.weights
    if weights == "auto":
        weights = "none" if backbone == SMALL else "imagenet"
    reason, data = source.reason, config.data
    if config.data == "auto" and weights == "imagenet" and not imagenet_at_hand(backbone):
        reason = (
            f"Data: sample, because the ImageNet weights of {backbone} are neither in the cache nor to be downloaded "
            "(IMAGE_CLASSIFIER_TRAIN_WEIGHTS may name a file)"
        )
        data, backbone, weights = "sample", SMALL, "none"
    settings = SCRATCH if backbone == SMALL else FineTuneSettings()
    if config.epochs is not None:
        settings = settings.model_copy(update={"epochs": config.epochs})
    return Plan(load_photos(data), backbone, weights, settings, reason)
