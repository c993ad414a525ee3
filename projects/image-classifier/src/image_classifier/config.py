"""Every setting: its default, its flag, its help and the parameter that is logged are one line here.

Flags come from the field names (`--if-missing`), environment variables from the prefix
(`IMAGE_CLASSIFIER_TRAIN_SEED`, `IMAGE_CLASSIFIER_PORT`).
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from portfolio_shared.config import Frozen, ReportSettings, TrainSettings, command_settings
from portfolio_shared.serving.settings import ServiceSettings

MODEL_NAME = "image-classifier"
DATA = "auto, sample, full, or the path of a folder or archive with [<train, val, test>/]<class>/<picture>"
BUNDLE = Path(".state/bundles/image-classifier")
WORK = Path(".state/image-classifier")

USUAL = "mobilenet_v2"
"""The network that learns unless another is named."""
SHIPPED = "shipped"
"""Weights of it that ship with the package (`models/pretrained`)."""

Augmentation = Literal["none", "light", "basic", "strong"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
Recipe = Literal["full", "quick"]
"""full: probe and fine-tuning. quick: the probe alone."""


class FineTuneSettings(Frozen):
    """Hyper-parameters of the fine-tuning (`models/finetune.py`)."""

    epochs: int = Field(12, ge=1, description="times that every picture is seen")
    patience: int = Field(5, ge=1, description="epochs without a lower validation loss after which it ends")
    crop: int = Field(192, ge=32, description="side of the augmented pictures, in pixels")
    batch: int = Field(32, ge=2, description="pictures a step")
    rate: float = Field(3e-4, gt=0, description="learning rate of the trunk's last layer")
    depth_decay: float = Field(1.0, gt=0, le=1, description="the first layer's rate over the last layer's")
    head_rate: float = Field(2e-3, gt=0, description="learning rate of the new layer")
    weight_decay: float = Field(0.02, ge=0)
    warm_up: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the rates rise")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    dropout: float = Field(0.2, ge=0, lt=1, description="share of the features that a step does not see")
    averaging: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights, a step")
    clip: float = Field(5.0, gt=0, description="largest norm of a gradient")
    augmentation: Augmentation = "strong"


class ModelSettings(Frozen):
    """Which network learns, and how; every `auto` is resolved (`models/plan.py`)."""

    backbone: str = Field(description="torchvision model")
    weights: str = Field(description="imagenet, shipped, or the path of a state dict")
    crop: int | None = Field(None, ge=32, description="side of the pictures that the model sees; none: the usual ones")
    recipe: Recipe = "full"
    coverage: float = Field(0.95, gt=0.5, lt=1, description="share of pictures whose label set holds the true label")
    tuning: FineTuneSettings = FineTuneSettings()


class Compute(Frozen):
    """Where a training runs and keeps what it has computed; the numbers of a fine-tuning alone depend on it."""

    device: str = "auto"
    precision: Precision = "auto"
    threads: int = Field(1, ge=1, description="threads that compute on the CPU")
    workers: int = Field(0, ge=0, description="processes that read and augment pictures; 0: the training's own")
    work: Path | None = Field(None, description="folder of features and checkpoints; none to keep nothing")


DEFAULT_COMPUTE = Compute()


class TrainConfig(TrainSettings):
    """Train, evaluate, register and pass the gate."""

    model_config = command_settings("IMAGE_CLASSIFIER_TRAIN_")

    data: str = Field("auto", description=DATA)
    output: Path = Field(BUNDLE, description="folder that the bundle is written to")
    recipe: Recipe = Field("full", description="full: probe and fine-tuning; quick: the probe alone")
    backbone: str = Field(USUAL, description="torchvision model")
    weights: str = Field(
        "auto",
        description="imagenet, shipped, or the path of a state dict; auto: shipped for the probe alone, else imagenet, "
        "or shipped where torchvision's host does not answer",
    )
    crop: int | None = Field(None, ge=32, description="side of the pictures that the model sees; none: the usual ones")
    epochs: int | None = Field(None, ge=1, description="epochs of the fine-tuning, if not the usual ones")
    device: str = Field("auto", description="auto, cpu, cuda, mps or another device of torch")
    precision: Precision = Field("auto", description="of the fine-tuning; auto: float16 on cuda, else float32")
    threads: int = Field(2, ge=1, description="threads that compute on the CPU")
    workers: int = Field(0, ge=0, description="processes that read and augment pictures; 0: the training's own")
    coverage: float = Field(0.95, gt=0.5, lt=1, description="share of pictures whose label set holds the true label")
    work: Path = Field(WORK, description="folder of features and checkpoints")
    seed: int = Field(0, ge=0, description="seed of splits, order, augmentation and bootstrap")


class TuneConfig(BaseSettings):
    """Measure what each part of the training buys, with the same budget for each."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    weights: str = Field(SHIPPED, description="shipped, so that anybody repeats it, or imagenet, or a path")
    epochs: int = Field(3, ge=1, description="epochs of each training: the budget")
    crop: int = Field(128, ge=32, description="side of the augmented pictures, in pixels")
    threads: int = Field(2, ge=1, description="threads that compute on the CPU")
    work: Path = Field(WORK, description="folder of features and checkpoints")
    output: Path | None = Field(
        None, description="file to write; none: docs/ablation.json for the public data, else ablation.json in work"
    )
    tracking_uri: str = Field("", description="MLflow server that gets a child run for each training; empty for none")
    seed: int = Field(0, ge=0, description="seed of splits, order and augmentation")


class ReportConfig(ReportSettings):
    """Train on the public data and rewrite the READMEs' tables and figures."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    weights: str = Field(SHIPPED, description="shipped, so that anybody repeats it, or imagenet, or a path")
    project: Path = Field(Path("projects/image-classifier"), description="folder of the project's README and docs")
    threads: int = Field(2, ge=1, description="threads that compute on the CPU")
    work: Path = Field(WORK, description="folder of features and checkpoints")
    seed: int = Field(0, ge=0, description="seed of splits, order, augmentation and bootstrap")


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="IMAGE_CLASSIFIER_")

    port: int = Field(8003, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
    max_files: int = Field(32, ge=1, description="pictures in a request; above it 422")
    max_file_bytes: int = Field(10_000_000, ge=1, description="largest picture file; above it 413 for it")
    max_pixels: int = Field(50_000_000, ge=256, description="width x height of a JPEG; above it 413 for it")
    max_pixels_whole: int = Field(
        16_000_000,
        ge=256,
        description="the same of PNG, WebP, GIF and progressive or CMYK JPEG, which take more memory",
    )
    max_frames: int = Field(500, ge=1, description="frames of an animation; above it 413 for it")
    max_body_bytes: int = Field(64_000_000, gt=0, description="largest request body; above it 413")
    # A phone needs a while to send a body, which is held in memory meanwhile. The sum is at `images.LARGE`.
    max_total_body_bytes: int = Field(
        512_000_000, gt=0, description="bytes of all bodies at a time; above it the slowest client gets 503"
    )
    max_concurrent_requests: int = Field(8, gt=0, description="predictions at a time; above it 429")
    request_timeout_seconds: float = Field(30.0, gt=0, description="longest upload, and longest computation for a file")
