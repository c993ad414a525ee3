"""Resolve every `auto` of a training before a picture is read: which network, which weights, with which settings."""

from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from image_classifier.config import SHIPPED, USUAL, FineTuneSettings, ModelSettings, TrainConfig

CROP_SHARE = 6 / 7
"""Side of the pictures in training over their side in use: 192 of 224."""
FINE_TUNE = ("torch", "torchvision", "onnxscript", "safetensors")
"""What the extra `finetune` installs; the probe on the trunk that ships needs none of it."""


class MissingTorchError(RuntimeError):
    """A training needs torch, and it is not installed; the message says what to do."""


def plan(config: TrainConfig, console: Console | None = None) -> ModelSettings:
    """Resolve every `auto` of the configuration; what was asked for by name is never replaced.

    The probe alone takes the trunk that ships. Fine-tuning takes torchvision's ImageNet weights where they can be had
    within seconds, else those of the trunk that ships, and says so.

    Raises
    ------
    MissingTorchError
        If torch is needed and not installed.
    ValueError
        If the weights that ship are asked for another network, or a file of weights is not there.
    WeightsError
        If torchvision's weights are asked for and cannot be had.
    """
    backbone, weights, tuning = config.backbone, config.weights, FineTuneSettings()
    if weights == "auto" and config.recipe == "quick" and backbone == USUAL:
        weights = SHIPPED
    if weights == SHIPPED and backbone != USUAL:
        raise ValueError(f"weights={SHIPPED!r}: they are those of {USUAL}, and backbone={backbone!r}")
    if weights not in ("auto", "imagenet", SHIPPED) and not Path(weights).is_file():
        raise ValueError(
            f"weights={weights!r} (--weights, IMAGE_CLASSIFIER_TRAIN_WEIGHTS): there is no such file; expected "
            f"imagenet, {SHIPPED}, or the path of a state dict"
        )
    if config.recipe == "full" or weights != SHIPPED:
        check_torch(config)
    if weights == "imagenet" or (weights == "auto" and backbone != USUAL):  # before the pictures are read
        from image_classifier.models.weights import check_at_hand

        check_at_hand(backbone)
    if weights == "auto":
        weights = _imagenet_or_shipped(backbone, console or Console(quiet=True))
    if config.epochs is not None:
        tuning = tuning.model_copy(update={"epochs": config.epochs})
    if config.recipe == "full":
        tuning = tuning.model_copy(update={"crop": _training_crop(backbone, config.crop) or tuning.crop})
    return ModelSettings(
        backbone=backbone,
        weights=weights,
        crop=config.crop,
        recipe=config.recipe,
        coverage=config.coverage,
        tuning=tuning,
    )


def check_torch(config: TrainConfig) -> None:
    """Raise MissingTorchError if what fine-tuning and other weights need is not installed."""
    if missing := [name for name in FINE_TUNE if find_spec(name) is None]:
        what = "fine-tuning" if config.recipe == "full" else f"backbone={config.backbone!r}, weights={config.weights!r}"
        raise MissingTorchError(
            f"{what} needs {', '.join(missing)}, not installed here: run `make setup`, or with containers "
            "`RECIPE=full docker compose up --build`, or take --recipe quick alone, which needs none of them"
        )


def _imagenet_or_shipped(backbone: str, console: Console) -> str:
    from image_classifier.models.weights import imagenet_at_hand

    if backbone != USUAL or imagenet_at_hand(backbone):
        return "imagenet"
    console.print(
        f"Weights: {SHIPPED}, because torchvision's of {backbone} are neither in the cache nor to be downloaded"
    )
    return SHIPPED


def _training_crop(backbone: str, crop: int | None) -> int | None:
    """Return the side of the pictures in fine-tuning, if it is not the usual one."""
    from image_classifier.models.backbones import only_crop

    # Random crops show things larger than they are in use, so they may be smaller by as much.
    return only_crop(backbone) or (None if crop is None else round(crop * CROP_SHARE))
