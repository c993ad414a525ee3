"""A fine-tuning before it starts: what its result depends on, where it runs, and how other processes are told of it."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from pydantic import TypeAdapter

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.models.backbones import Backbone, build_backbone
from image_classifier.models.distributed import ALONE, Team
from image_classifier.models.network import Classifier
from portfolio_shared.data.splits import split_digest


@dataclass(frozen=True)
class Job:
    """What a fine-tuning depends on beside the network's weights, and where it runs."""

    split: Split
    backbone: Backbone
    settings: FineTuneSettings
    seed: int
    compute: Compute
    team: Team = ALONE

    @cached_property
    def device(self) -> torch.device:
        """Where the network is trained; of several processes, "cuda" is to each the GPU of its place.

        Raises
        ------
        ValueError
            If the device is not there, or the machine has fewer GPUs than processes.
        """
        device, team = pick_device(self.compute.device), self.team
        if team.size == 1 or device != torch.device("cuda"):
            return device
        if (there := torch.cuda.device_count()) < team.local:
            raise ValueError(f"{team.local} processes need a GPU each, and there are {there}: ask for device=cpu")
        return torch.device("cuda", team.place)

    @property
    def threads(self) -> int:
        """Threads of this process: those of the setting are shared by the processes of a machine."""
        return max(1, self.compute.threads // self.team.local)

    @property
    def low_precision(self) -> torch.dtype | None:
        """Type of what forward and backward compute where 16 bits do; None for 32 throughout."""
        setting = self.compute.precision
        if setting == "auto":
            setting = "float16" if self.device.type == "cuda" else "float32"
        return {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": None}[setting]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the result depends on: pictures, network, settings and seed."""
        parts = {
            "backbone": [self.backbone.name, self.backbone.digest, str(self.backbone.preprocessing)],
            "training": split_digest([f"{photo.label}:{photo.key}" for photo in self.split.train]),
            "validation": split_digest([f"{photo.label}:{photo.key}" for photo in self.split.validation]),
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def checkpoint(self) -> Path | None:
        """File that the training goes on from, and writes after each epoch; None for none."""
        work = self.compute.work
        return None if work is None else work / "checkpoints" / f"{self.digest[:16]}.safetensors"

    @property
    def batch(self) -> int:
        """Pictures of a step, of all processes together."""
        return min(self.settings.batch, len(self.split.train))


@dataclass(frozen=True)
class Order:
    """A fine-tuning in words: every process builds the same network from it, and reads the same files."""

    split: Split
    settings: ModelSettings
    seed: int
    compute: Compute

    def to_json(self) -> str:
        """Return what `from_json` reads; the test split is none of the training's business."""
        told = replace(self, split=replace(self.split, test=(), today=()))
        return TypeAdapter(Order).dump_json(told).decode()

    @staticmethod
    def from_json(text: str) -> "Order":
        """Return the order that another process handed out."""
        return TypeAdapter(Order).validate_json(text)

    def build(self, team: Team) -> tuple[Classifier, Job]:
        """Return the pretrained network with a random head, and the job for this process."""
        settings = self.settings
        torch.manual_seed(self.seed)
        backbone = build_backbone(settings.backbone, settings.weights, crop=settings.crop)
        classifier = Classifier(backbone, len(self.split.labels))
        return classifier, Job(self.split, backbone, settings.tuning, self.seed, self.compute, team)


def pick_device(setting: str) -> torch.device:
    """Return the device that a setting names; ``auto`` takes an accelerator if torch has one.

    Raises
    ------
    ValueError
        If the device is not there.
    """
    if setting == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(setting)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={setting!r}: expected auto, cpu or one that torch can use here ({reason})") from error
    return device
