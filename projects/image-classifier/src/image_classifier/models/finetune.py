"""Fine-tuning: every layer learns, the first ones slowly, from pictures that never look the same twice.

Killed at any moment, it resumes after the last whole epoch and ends with the same weights: order, augmentation and
dropout of an epoch depend on seed and epoch alone, and the checkpoint holds weights, averages and the optimiser.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from image_classifier.config import FineTuneSettings
from image_classifier.data.images import Preprocessing
from image_classifier.data.load import Photo
from image_classifier.models.augment import augmentation
from image_classifier.models.batches import augmented_batches, draw, fixed_batches, labels_of
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from image_classifier.models.network import Classifier, Normalize
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; validation is of the averaged weights."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Job:
    """What a fine-tuning needs to know beside the network; its digest names the checkpoint."""

    training: Sequence[Photo]
    validation: Sequence[Photo]
    preprocessing: Preprocessing
    settings: FineTuneSettings
    seed: int
    device: torch.device
    workers: int
    digest: str


def fine_tune(
    classifier: Classifier,
    normalize: Normalize,
    job: Job,
    *,
    checkpoint: Path | None = None,
    told: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train the classifier in place; it ends with the averaged weights of the epoch with the least validation loss.

    Parameters
    ----------
    checkpoint
        File to resume from, and to write after each epoch; None for none.
    told
        Called after each epoch, and at once for those that the checkpoint holds.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or belongs to another job.
    """
    state = _State(classifier.to(job.device), normalize.to(job.device), job)
    if checkpoint is not None and (found := load_checkpoint(checkpoint)):
        state.restore(*found, path=checkpoint)
        for epoch in state.history:
            told(epoch)
    while not state.finished:
        begun = time.perf_counter()
        loss = state.train_epoch()
        epoch = state.validate(loss, begun)
        told(epoch)
        if checkpoint is not None:
            save_checkpoint(checkpoint, state.tensors(), state.facts())
    state.keep_best()
    return state.history


class _State:
    """Everything that changes while training."""

    def __init__(self, classifier: Classifier, normalize: Normalize, job: Job) -> None:
        self.classifier = classifier.to(memory_format=torch.channels_last)
        self.normalize, self.job = normalize, job
        self.average = copy.deepcopy(self.classifier)
        self.best: dict[str, Tensor] = {}
        self.optimizer = torch.optim.AdamW(_groups(classifier, job.settings))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.half = job.device.type == "cuda"
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.half)
        self.augment = augmentation(
            job.settings.augmentation, job.settings.crop, interpolation=job.preprocessing.interpolation
        )
        self.per_epoch = max(1, len(job.training) // job.settings.batch)
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
        losses = []
        for i, (pictures, labels) in enumerate(self._batches(epoch)):
            step = epoch * self.per_epoch + i
            self._set_rate(step)
            with torch.autocast(self.job.device.type, enabled=self.half):
                logits = self.classifier(self.normalize(pictures.to(self.job.device)))
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

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        job = self.job
        return augmented_batches(
            job.training,
            self.augment,
            at_least=job.settings.crop,
            batch=job.settings.batch,
            seed=job.seed,
            epoch=epoch,
            workers=job.workers,
        )

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
        found = softmax(
            logits_of(
                self.average, self.normalize, self.job.validation, self.job.preprocessing, workers=self.job.workers
            )
        )
        labels = labels_of(self.job.validation)
        loss, accuracy = log_loss_error(labels, found), accuracy_score(labels, found)
        if not self.history or loss < min(epoch.validation_loss for epoch in self.history):
            self.best = {name: tensor.detach().clone() for name, tensor in self.average.state_dict().items()}
        seconds = time.perf_counter() - begun
        epoch = Epoch(len(self.history) + 1, training_loss, loss, accuracy, round(seconds, 2))
        self.history.append(epoch)
        return epoch

    def keep_best(self) -> None:
        """Give the classifier the averaged weights of the best epoch."""
        self.classifier.load_state_dict(self.best)
        self.classifier.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on."""
        found = {f"classifier.{name}": tensor for name, tensor in self.classifier.state_dict().items()}
        found |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        found |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
        return found

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


def logits_of(
    classifier: Classifier, normalize: Normalize, photos: Sequence[Photo], preprocessing: Preprocessing, *, workers: int
) -> NDArray[np.float64]:
    """Return the logits [n, n_classes] of photographs, prepared as in the service."""
    device = next(classifier.parameters()).device
    classifier.eval()
    with torch.inference_mode():
        parts = [
            classifier(normalize(pictures.to(device))).float().cpu().numpy()
            for pictures, _ in fixed_batches(photos, preprocessing, workers=workers)
        ]
    return np.concatenate(parts).astype(np.float64)


def _groups(classifier: Classifier, settings: FineTuneSettings) -> list[dict[str, Any]]:
    """Return the optimiser's groups: rates rise from the first layer to the last; the head has its own."""
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
    """Move the averaged weights towards the current ones (Polyak averaging with exponential decay)."""
    for kept, new in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
