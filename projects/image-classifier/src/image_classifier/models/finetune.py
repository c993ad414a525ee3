"""Fine-tuning: every layer learns, the first ones slowly, from pictures that never look the same twice.

Killed at any moment, it resumes after the last whole epoch and ends with the same weights: order, augmentation and
dropout of an epoch depend on seed and epoch alone, and the checkpoint holds weights, averages and the optimizer.
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.models.backbones import Backbone, build_backbone
from image_classifier.models.batches import augmentation, augmented_batches, draw
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from image_classifier.models.fit import Epoch, Network
from image_classifier.models.network import Classifier, logits_of, trunk_like
from image_classifier.models.probe import Head
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax


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


def fine_tune(classifier: Classifier, job: Job, *, on_epoch: Callable[[Epoch], None] = lambda _: None) -> list[Epoch]:
    """Train the classifier in place; it ends with the averaged weights of the epoch with the least validation loss.

    Parameters
    ----------
    on_epoch
        Called after each epoch, and at once for those that the job's checkpoint holds.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or belongs to another job.
    """
    torch.set_num_threads(job.compute.threads)
    state = _State(classifier.to(job.device), job)
    if job.checkpoint is not None and (saved := load_checkpoint(job.checkpoint)):
        state.restore(*saved, path=job.checkpoint)
        for epoch in state.history:
            on_epoch(epoch)
    while not state.finished:
        begun = time.perf_counter()
        loss = state.train_epoch()
        epoch = state.validate(loss, begun)
        on_epoch(epoch)
        if job.checkpoint is not None:
            save_checkpoint(job.checkpoint, state.tensors(), state.facts())
    classifier.load_state_dict(state.best)
    classifier.eval()
    return state.history


def fit_network(
    split: Split,
    settings: ModelSettings,
    start: Head | None,
    *,
    seed: int,
    compute: Compute,
    console: Console,
    report: Callable[[Epoch], None],
) -> tuple[Network, list[Epoch]]:
    """Build the network that the settings name, fine-tune it from a head, and export it; return its epochs too.

    Parameters
    ----------
    start
        None for a random head.
    """
    torch.manual_seed(seed)
    backbone = build_backbone(settings.backbone, settings.weights, crop=settings.crop)
    classifier = Classifier(backbone, len(split.labels), dropout=settings.tuning.dropout)
    if start is not None:
        classifier.start_from(start)
    job = Job(split, backbone, settings.tuning, seed, compute)
    if job.checkpoint is not None and job.checkpoint.is_file():
        console.print(f"Going on from {job.checkpoint}")
    history = fine_tune(classifier, job, on_epoch=report)
    return Network(trunk_like(classifier, backbone.preprocessing, split.train), classifier.as_head()), history


class _State:
    """Everything that changes while training."""

    def __init__(self, classifier: Classifier, job: Job) -> None:
        self.classifier = classifier.to(memory_format=torch.channels_last)
        self.job = job
        self.average = copy.deepcopy(self.classifier)
        self.best: dict[str, Tensor] = {}
        self.optimizer = torch.optim.AdamW(_groups(classifier, job.settings))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.half = job.device.type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.half)
        self.augment = augmentation(
            job.settings.augmentation, job.settings.crop, interpolation=job.backbone.preprocessing.interpolation
        )
        self.per_epoch = max(1, len(job.split.train) // job.settings.batch)
        self.history: list[Epoch] = []

    @property
    def finished(self) -> bool:
        settings = self.job.settings
        losses = [epoch.validation_loss for epoch in self.history]
        waited = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= settings.epochs or waited >= settings.patience

    def train_epoch(self) -> float:
        """Go once through the pictures; return the mean loss."""
        epoch, settings = len(self.history), self.job.settings
        self.classifier.train()
        torch.manual_seed(draw(self.job.seed, epoch))
        batches = augmented_batches(
            self.job.split.train,
            self.augment,
            at_least=settings.crop,
            batch=settings.batch,
            seed=self.job.seed,
            epoch=epoch,
            workers=self.job.compute.workers,
        )
        losses = []
        for i, (pictures, labels) in enumerate(batches):
            step = epoch * self.per_epoch + i
            self._set_rate(step)
            with torch.autocast(self.job.device.type, enabled=self.half):
                logits = self.classifier(pictures.to(self.job.device))
                loss = nn.functional.cross_entropy(
                    logits, labels.to(self.job.device), label_smoothing=settings.label_smoothing
                )
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.classifier.parameters(), settings.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            _average(self.average, self.classifier, min(settings.averaging, (step + 1) / (step + 11)))
            losses.append(loss.item())
        return float(np.mean(losses))

    def _set_rate(self, step: int) -> None:
        """Warm up linearly, then fall along a half cosine to zero (Loshchilov and Hutter 2017)."""
        settings = self.job.settings
        total = self.per_epoch * settings.epochs
        warm = max(1, round(total * settings.warm_up))
        share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def validate(self, training_loss: float, begun: float) -> Epoch:
        """Measure the averaged weights on the validation part and remember the epoch."""
        photos = self.job.split.validation
        logits = logits_of(self.average, photos, self.job.backbone.preprocessing, workers=self.job.compute.workers)
        labels, probabilities = labels_of(photos), softmax(logits)
        loss, accuracy = log_loss_error(labels, probabilities), accuracy_score(labels, probabilities)
        if not self.history or loss < min(epoch.validation_loss for epoch in self.history):
            self.best = {name: tensor.detach().clone() for name, tensor in self.average.state_dict().items()}
        seconds = time.perf_counter() - begun
        epoch = Epoch(len(self.history) + 1, training_loss, loss, accuracy, round(seconds, 2))
        self.history.append(epoch)
        return epoch

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on."""
        tensors = {f"classifier.{name}": tensor for name, tensor in self.classifier.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
        return tensors

    def facts(self) -> dict[str, Any]:
        """Return what the tensors belong to."""
        history = [asdict(epoch) for epoch in self.history]
        return {"job": self.job.digest, "history": history, "scaler": self.scaler.state_dict()}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any], *, path: Path) -> None:
        """Take up where a checkpoint ends."""
        if facts["job"] != self.job.digest:
            raise CheckpointError(f"{path} belongs to a training with other data or settings: delete it")
        self.classifier.load_state_dict(_part(tensors, "classifier."))
        self.average.load_state_dict(_part(tensors, "average."))
        self.best = {name: tensor.to(self.job.device) for name, tensor in _part(tensors, "best.").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _part(tensors, "optimizer.").items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        if self.half and facts.get("scaler"):  # empty after training without mixed precision
            self.scaler.load_state_dict(facts["scaler"])
        self.history = [Epoch(**epoch) for epoch in facts["history"]]


def _groups(classifier: Classifier, settings: FineTuneSettings) -> list[dict[str, Any]]:
    """Return the optimizer's groups: rates rise from the first layer to the last; the head has its own."""
    trunk = list(classifier.trunk.parameters())
    groups = [
        {
            "params": [parameter],
            "lr": settings.rate * settings.depth_decay ** (1 - i / max(1, len(trunk) - 1)),
            # Biases and the scales of norms are not pulled to zero.
            "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
        }
        for i, parameter in enumerate(trunk)
    ]
    head = {"params": list(classifier.head.parameters()), "lr": settings.head_rate}
    return [*groups, {**head, "weight_decay": settings.weight_decay}]


@torch.no_grad()
def _average(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the averaged weights toward the current ones (Polyak averaging with exponential decay)."""
    for kept, new in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
