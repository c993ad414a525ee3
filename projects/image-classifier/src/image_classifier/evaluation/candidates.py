"""What is compared on the validation part: a guess, the linear probe, the fine-tuned network."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from image_classifier.config import TrainConfig
from image_classifier.data.images import Preprocessing
from image_classifier.data.load import Splits
from image_classifier.models.backbones import Backbone
from image_classifier.models.batches import labels_of
from image_classifier.models.finetune import Epoch, Job, fine_tune, logits_of
from image_classifier.models.network import Classifier, Normalize
from image_classifier.models.plan import Plan
from image_classifier.models.probe import features_of, fit_probe, most_frequent, to_head
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax

Logits = NDArray[np.float64]

GUESS = "shares of the classes"
PROBE = "linear probe"
FINE_TUNED = "fine-tuned"
SCRATCH = "from scratch"
TUNED = (FINE_TUNED, SCRATCH)


@dataclass(frozen=True)
class Candidate:
    """A fitted model.

    Attributes
    ----------
    validation_logits
        On the validation part, before any temperature.
    summary
        Log loss after the temperature that suits it best, accuracy and seconds of the fit; for the log.
    weights
        State of the classifier; None for what is no network.
    preprocessing
        How pictures are prepared for it.
    history
        Epochs of the fine-tuning.
    test_logits
        Function that returns the logits on the test split; called once, after the choice.
    """

    name: str
    validation_logits: Logits
    summary: dict[str, float]
    weights: dict[str, Tensor] | None
    preprocessing: Preprocessing
    history: tuple[Epoch, ...]
    test_logits: Callable[[], Logits]

    def install(self, classifier: Classifier) -> None:
        """Give the classifier the weights of this candidate."""
        if self.weights is None:
            raise ValueError(f"{self.name} is no network")
        classifier.load_state_dict(self.weights)

    def test_probabilities(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return probabilities on the test split; those of a network at the temperature that was best on validation."""
        temperature = 1.0 if self.weights is None else fit_temperature(labels, self.validation_logits)
        return softmax(self.test_logits() / temperature)


def by_loss(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates, the least validation loss first."""
    return sorted(candidates, key=lambda one: one.summary["log_loss"])


def guess(splits: Splits, n_classes: int, backbone: Backbone) -> Candidate:
    """Return the shares of the classes in the training part, for every picture."""
    logits = np.log(most_frequent(splits.train, n_classes))
    validation = np.tile(logits, (len(splits.validation), 1))
    return Candidate(
        GUESS,
        validation,
        _summary(splits, validation, seconds=0.0, temperature=False),
        None,
        backbone.preprocessing,
        (),
        lambda: np.tile(logits, (len(splits.test), 1)),
    )


def probed(
    classifier: Classifier,
    normalize: Normalize,
    backbone: Backbone,
    splits: Splits,
    config: TrainConfig,
    *,
    advance: Callable[[int], None],
) -> Candidate:
    """Fit a logistic regression on the features of the pretrained backbone; the classifier's head gets its weights."""
    train, validation, test = (
        features_of(
            part,
            classifier,
            normalize,
            backbone,
            cache=config.work / "features",
            workers=config.workers,
            advance=advance,
        )
        for part in (splits.train, splits.validation, splits.test)
    )
    begun = time.perf_counter()
    probe = fit_probe(train.rows, labels_of(splits.train), validation.rows, labels_of(splits.validation))
    seconds = train.seconds + validation.seconds + time.perf_counter() - begun
    to_head(probe, classifier)
    logits = probe.logits(validation.rows)
    summary = _summary(splits, logits, seconds=seconds) | {"strength": probe.strength}
    return Candidate(
        PROBE, logits, summary, _state(classifier), backbone.preprocessing, (), lambda: probe.logits(test.rows)
    )


def fine_tuned(
    classifier: Classifier,
    normalize: Normalize,
    backbone: Backbone,
    splits: Splits,
    *,
    planned: Plan,
    config: TrainConfig,
    console: Console,
) -> Candidate:
    """Train every layer, from the probe's head or from nothing; a training that was killed is taken up again."""
    name = FINE_TUNED if backbone.pretrained else SCRATCH
    job = Job(
        splits.train,
        splits.validation,
        backbone.preprocessing,
        planned.settings,
        config.seed,
        pick_device(config.device),
        config.workers,
        _digest(backbone, splits, planned, config),
    )
    checkpoint = config.work / "checkpoints" / f"{job.digest[:16]}.safetensors"
    if checkpoint.is_file():
        console.print(f"Going on from {checkpoint}")

    def told(epoch: Epoch) -> None:
        console.print(
            f"{name}, epoch {epoch.number}/{planned.settings.epochs}: loss {epoch.training_loss:.3f}, validation loss "
            f"{epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.1%}, {epoch.seconds:.0f} s"
        )

    history = fine_tune(classifier, normalize, job, checkpoint=checkpoint, told=told)
    weights = _state(classifier)

    def logits_on_test() -> Logits:
        classifier.load_state_dict(weights)
        return logits_of(classifier, normalize, splits.test, backbone.preprocessing, workers=config.workers)

    logits = logits_of(classifier, normalize, splits.validation, backbone.preprocessing, workers=config.workers)
    summary = _summary(splits, logits, seconds=sum(epoch.seconds for epoch in history))
    return Candidate(name, logits, summary, weights, backbone.preprocessing, tuple(history), logits_on_test)


def pick_device(setting: str) -> torch.device:
    """Return the device that a setting names; ``auto`` takes an accelerator if torch finds one.

    Raises
    ------
    ValueError
        If the device is not there.
    """
    if setting == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return found if found is not None else torch.device("cpu")
    try:
        device = torch.device(setting)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"device={setting!r}: expected auto, cpu or one that torch can use here ({said})") from error
    return device


def _summary(splits: Splits, logits: Logits, *, seconds: float, temperature: bool = True) -> dict[str, float]:
    labels = labels_of(splits.validation)
    found = softmax(logits / fit_temperature(labels, logits)) if temperature else softmax(logits)
    return {
        "log_loss": log_loss_error(labels, found),
        "accuracy": accuracy_score(labels, found),
        "fit_seconds": round(seconds, 1),
    }


def _state(classifier: Classifier) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in classifier.state_dict().items()}


def _digest(backbone: Backbone, splits: Splits, planned: Plan, config: TrainConfig) -> str:
    """Return what names a training: its pictures, its network, its settings and the seed."""
    told = {
        "backbone": [backbone.name, backbone.digest, str(backbone.preprocessing)],
        "training": split_digest([f"{photo.label}:{photo.key}" for photo in splits.train]),
        "validation": split_digest([f"{photo.label}:{photo.key}" for photo in splits.validation]),
        "settings": planned.settings.model_dump(mode="json"),
        "seed": config.seed,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
