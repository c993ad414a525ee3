"""One fine-tuning as a value: its pictures, its settings and its seed; their digest names its checkpoint."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from image_classifier.config import Compute, FineTuneSettings
from image_classifier.data.load import Split
from image_classifier.models.backbones import Backbone
from portfolio_shared.data.splits import split_digest


@dataclass(frozen=True)
class Job:
    """What a fine-tuning depends on beside the network's weights, and where it runs."""

    split: Split
    backbone: Backbone
    settings: FineTuneSettings
    seed: int
    compute: Compute

    @cached_property
    def device(self) -> torch.device:
        """Where the network is trained."""
        return pick_device(self.compute.device)

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
