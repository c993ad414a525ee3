"""Fine-tuning: every layer learns, the first ones slowly, from pictures that never look the same twice.

Killed at any moment, it resumes after the last whole epoch and ends with the same weights: order, augmentation and
dropout of an epoch depend on seed and epoch alone, and the checkpoint holds weights, averages and the optimizer.

Processes of a team each take a part of every batch and add up their gradients, so all of them make the step that one
would make with the whole batch. Only the first writes.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from image_classifier.config import Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.models.batches import augmentation, augmented_batches, draw, kept_features
from image_classifier.models.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from image_classifier.models.distributed import hand_out, this_team
from image_classifier.models.fit import Epoch, Network
from image_classifier.models.job import Job, Order
from image_classifier.models.network import Classifier, logits_of, trunk_like
from image_classifier.models.probe import Head
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error, softmax


def fine_tune(classifier: Classifier, job: Job, *, on_epoch: Callable[[Epoch], None] = lambda _: None) -> list[Epoch]:
    """Train the classifier in place; it ends with the averaged weights of the epoch with the least validation loss.

    Every process of the job's team calls this; all of them start with the first one's weights.

    Parameters
    ----------
    on_epoch
        Called after each epoch, and at once for those that the job's checkpoint holds.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or belongs to another job.
    ValueError
        If a batch has fewer pictures than there are processes.
    LostProcessError
        If another process of the team has ended, or does not answer.
    """
    if job.batch < job.team.size:
        raise ValueError(f"a step has {job.batch} pictures: too few for {job.team.size} processes")
    torch.set_num_threads(job.threads)
    job.team.share(classifier.state_dict().values())
    state = _State(classifier.to(job.device), job)
    if job.checkpoint is not None and (saved := load_checkpoint(job.checkpoint)):
        state.restore(*saved, path=job.checkpoint)
        for epoch in state.history:
            on_epoch(epoch)
    state.check_same()
    while not state.finished:
        begun = time.perf_counter()
        loss = state.train_epoch()
        epoch = state.validate(loss, begun)
        state.check_same()
        if job.team.leads:
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
    team, order = this_team(), Order(split, settings, seed, compute)
    if team.size > 1:
        hand_out(order.to_json())
        console.print(f"{team.size} processes share each batch of {settings.tuning.batch} pictures")
    classifier, job = order.build(team)
    if start is not None:
        classifier.start_from(start)
    if job.checkpoint is not None and job.checkpoint.is_file():
        console.print(f"Going on from {job.checkpoint}")
    history = fine_tune(classifier, job, on_epoch=report)
    return Network(trunk_like(classifier, job.backbone.preprocessing, split.train), classifier.as_head()), history


class _State:
    """Everything that changes while training."""

    def __init__(self, classifier: Classifier, job: Job) -> None:
        self.classifier = classifier.to(memory_format=torch.channels_last)
        self.job = job
        self.average = copy.deepcopy(self.classifier)
        self.best: dict[str, Tensor] = {}
        self.optimizer = torch.optim.AdamW(_groups(classifier, job.settings))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        # Gradients of float16 vanish unless they are scaled; bfloat16 has the range of float32.
        self.scaler = torch.amp.GradScaler(job.device.type, enabled=job.low_precision == torch.float16)
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
        epoch, settings, team = len(self.history), self.job.settings, self.job.team
        self.classifier.train()
        torch.manual_seed(draw(self.job.seed, epoch, team.rank))  # what a trunk drops is each process's own
        rows = team.rows(self.job.batch)
        batches = augmented_batches(
            self.job.split.train,
            self.augment,
            at_least=settings.crop,
            batch=self.job.batch,
            rows=rows,
            seed=self.job.seed,
            epoch=epoch,
            workers=self.job.compute.workers,
        )
        features = self.classifier.head.in_features
        kept = kept_features((self.job.batch, features), rows, settings.dropout, seed=self.job.seed, epoch=epoch)
        losses = torch.zeros(self.per_epoch, dtype=torch.float64)
        for i, ((pictures, labels), masks) in enumerate(zip(batches, kept)):  # noqa: B905 (masks have no end)
            step = epoch * self.per_epoch + i
            self._set_rate(step)
            losses[i] = self._step(pictures, labels, masks)
            _average(self.average, self.classifier, min(settings.averaging, (step + 1) / (step + 11)))
        team.add([losses])
        return float(losses.mean())

    def _step(self, pictures: Tensor, labels: Tensor, kept: Tensor) -> float:
        """Make one step with the gradients of all processes; return what this one's pictures add to the loss."""
        job, settings = self.job, self.job.settings
        pictures, labels, kept = (tensor.to(job.device) for tensor in (pictures, labels, kept))
        with torch.autocast(job.device.type, dtype=job.low_precision, enabled=job.low_precision is not None):
            loss = nn.functional.cross_entropy(
                self.classifier(pictures, kept), labels, label_smoothing=settings.label_smoothing, reduction="sum"
            )
            loss = loss / job.batch  # the mean over the batch of all, of which processes may have unequal parts
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch
        job.team.add([each.grad for each in self.classifier.parameters() if each.grad is not None])
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.classifier.parameters(), settings.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.item()

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
        photos, team = self.job.split.validation, self.job.team
        rows = team.rows(len(photos))
        logits = torch.zeros(len(photos), self.classifier.head.out_features, dtype=torch.float64)
        if part := photos[rows]:
            preprocessing, workers = self.job.backbone.preprocessing, self.job.compute.workers
            logits[rows] = torch.from_numpy(logits_of(self.average, part, preprocessing, workers=workers))
        team.add([logits])  # zeros but for one process's rows: each has all of them, and decides alike
        labels, probabilities = labels_of(photos), softmax(logits.numpy())
        loss, accuracy = log_loss_error(labels, probabilities), accuracy_score(labels, probabilities)
        if not self.history or loss < min(epoch.validation_loss for epoch in self.history):
            self.best = {name: tensor.detach().clone() for name, tensor in self.average.state_dict().items()}
        seconds = time.perf_counter() - begun
        epoch = Epoch(len(self.history) + 1, training_loss, loss, accuracy, round(seconds, 2))
        self.history.append(epoch)
        return epoch

    def check_same(self) -> None:
        """Raise RuntimeError if a process has other weights, or would decide otherwise when the training ends."""
        losses = [epoch.validation_loss for epoch in self.history]
        weights = (*self.classifier.state_dict().values(), *self.average.state_dict().values())
        self.job.team.check_same(weights, f"{self.job.digest} {losses}")

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
        if self.scaler.is_enabled() and facts.get("scaler"):  # empty after training without it
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
