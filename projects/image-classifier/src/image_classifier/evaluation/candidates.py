"""What is compared on the validation part: class frequencies, the linear probe, the fine-tuned network."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from image_classifier.config import DEFAULT_COMPUTE, Compute, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.evaluate import measure
from image_classifier.models.backbones import Backbone, only_crop
from image_classifier.models.finetune import Epoch, Job, fine_tune, pick_device
from image_classifier.models.fit import FittedClassifier
from image_classifier.models.network import Classifier, build_classifier, logits_of
from image_classifier.models.probe import enlarged, fit_head
from portfolio_shared.cli import counting
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate
from portfolio_shared.tracking.runs import UNTRACKED, RunLog

FREQUENCIES = "class frequencies"
PROBE = "linear probe"
FINE_TUNED = "fine-tuned"
SCRATCH = "from scratch"
COLUMNS = (
    Column("log_loss", "log loss", ".4f"),
    Column("accuracy", "accuracy", ".1%"),
    Column("fit_seconds", "fit, s", ",.0f"),
)


def compare(
    split: Split,
    settings: ModelSettings,
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
    console: Console | None = None,
    run: RunLog = UNTRACKED,
    log: Callable[[Candidate[FittedClassifier]], None] = lambda _: None,
) -> dict[str, Candidate[FittedClassifier]]:
    """Fit every candidate and measure it on the validation part.

    `log` is called with each candidate as soon as it is measured; `run` gets the metrics of each epoch.

    Returns
    -------
    dict
        By name, the least validation loss first, each at its best temperature.
    """
    console = console or Console(quiet=True)
    torch.manual_seed(seed)
    classifier, backbone = build_classifier(settings, len(split.labels))
    candidates = [class_frequencies(split, backbone)]
    log(candidates[-1])
    if backbone.pretrained:
        larger = backbone if settings.crop or only_crop(backbone.name) else enlarged(backbone)
        candidates.append(linear_probe(classifier, larger, split, compute=compute))
        log(candidates[-1])
        if settings.recipe == "full" and larger is not backbone:
            with counting("features to start fine-tuning from", "pictures") as advance:
                fit_head(classifier, backbone, split, compute=compute, advance=advance)
    if not backbone.pretrained or settings.recipe == "full":
        job = Job(split, backbone, settings.tuning, seed, compute)
        candidates.append(fine_tuned(classifier, job, console=console, run=run))
        log(candidates[-1])
    return {candidate.name: candidate for candidate in sorted(candidates, key=lambda item: item.metrics["log_loss"])}


def choose(candidates: Mapping[str, Candidate[FittedClassifier]]) -> str:
    """Return the name of the candidate with the least validation loss among those that can be served."""
    servable = {name: candidate.metrics["log_loss"] for name, candidate in candidates.items() if candidate.servable}
    return min(servable, key=lambda name: servable[name])


def class_frequencies(split: Split, backbone: Backbone) -> Candidate[FittedClassifier]:
    """Return the shares of the classes in the training part, for every picture: a baseline that sees none."""
    counts = np.bincount(labels_of(split.train), minlength=len(split.labels))
    logits = np.tile(np.log(counts / counts.sum()), (len(split.validation), 1))
    metrics = {**_measure(split, softmax(logits)), "fit_seconds": 0.0}
    return Candidate(FREQUENCIES, metrics, FittedClassifier(logits, backbone.preprocessing, None), servable=False)


def linear_probe(
    classifier: Classifier, backbone: Backbone, split: Split, *, compute: Compute = DEFAULT_COMPUTE
) -> Candidate[FittedClassifier]:
    """Fit the head on the features of the pretrained trunk, which stays as it is."""
    with counting("features of the pretrained backbone", "pictures") as advance:
        head = fit_head(classifier, backbone, split, compute=compute, advance=advance)
    metrics = {**_at_best_temperature(split, head.validation_logits), "fit_seconds": round(head.seconds, 1)}
    model = FittedClassifier(head.validation_logits, backbone.preprocessing, classifier.frozen_state())
    return Candidate(PROBE, metrics | {"strength": head.strength}, model)


def fine_tuned(
    classifier: Classifier, job: Job, *, console: Console, run: RunLog = UNTRACKED
) -> Candidate[FittedClassifier]:
    """Train every layer, from the head that the classifier has; a training that was killed is taken up again."""
    name = FINE_TUNED if job.backbone.pretrained else SCRATCH
    if job.checkpoint is not None and job.checkpoint.is_file():
        console.print(f"Going on from {job.checkpoint}")

    def report(epoch: Epoch) -> None:
        console.print(
            f"{name}, epoch {epoch.number}/{job.settings.epochs}: loss {epoch.training_loss:.3f}, validation loss "
            f"{epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.1%}, {epoch.seconds:.0f} s"
        )
        losses = {"training_loss": epoch.training_loss, "validation_loss": epoch.validation_loss}
        run.log_metrics(losses | {"validation_accuracy": epoch.validation_accuracy}, step=epoch.number)

    history = fine_tune(classifier, job, on_epoch=report)
    preprocessing = job.backbone.preprocessing
    logits = logits_of(classifier, job.split.validation, preprocessing, workers=job.compute.workers)
    seconds = sum(epoch.seconds for epoch in history)
    metrics = {**_at_best_temperature(job.split, logits), "fit_seconds": round(seconds, 1)}
    model = FittedClassifier(logits, preprocessing, classifier.frozen_state(), job.settings, tuple(history))
    return Candidate(name, metrics, model)


def evaluate_baselines(
    split: Split,
    settings: ModelSettings,
    candidates: Mapping[str, Candidate[FittedClassifier]],
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
) -> dict[str, dict[str, Interval]]:
    """Measure candidates that were not chosen on the test split, by name."""
    labels = labels_of(split.test)
    return {
        name: measure(labels, probabilities_on_test(candidate.model, split, settings, compute=compute), seed=seed)
        for name, candidate in candidates.items()
    }


def probabilities_on_test(
    model: FittedClassifier, split: Split, settings: ModelSettings, *, compute: Compute = DEFAULT_COMPUTE
) -> NDArray[np.float64]:
    """Return probabilities on the test split; those of a network at the temperature that was best on validation."""
    if model.weights is None:
        return softmax(np.tile(model.validation_logits[:1], (len(split.test), 1)))
    classifier = model.network(settings, len(split.labels)).to(pick_device(compute.device))
    logits = logits_of(classifier, split.test, model.preprocessing, workers=compute.workers)
    return softmax(logits / fit_temperature(labels_of(split.validation), model.validation_logits))


def _at_best_temperature(split: Split, logits: NDArray[np.float64]) -> dict[str, float]:
    return _measure(split, softmax(logits / fit_temperature(labels_of(split.validation), logits)))


def _measure(split: Split, probabilities: NDArray[np.float64]) -> dict[str, float]:
    labels = labels_of(split.validation)
    return {
        "log_loss": log_loss_error(labels, probabilities),
        "accuracy": accuracy_score(labels, probabilities),
    }
