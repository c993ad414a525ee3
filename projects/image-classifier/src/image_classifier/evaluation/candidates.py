"""What is compared on the validation part: class frequencies, the linear probe, the fine-tuned network."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from image_classifier.config import DEFAULT_COMPUTE, Compute, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.evaluate import measure
from image_classifier.models.fit import Epoch, FittedClassifier, Network
from image_classifier.models.probe import Head, fit_probe
from image_classifier.models.trunk import Trunk, features_of, trunk_of
from portfolio_shared.cli import counting
from portfolio_shared.evaluation.classification import accuracy_score, fit_temperature, log_loss_error, softmax
from portfolio_shared.evaluation.tables import Column
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate
from portfolio_shared.tracking.runs import UNTRACKED, RunLog

FREQUENCIES = "class frequencies"
PROBE = "linear probe"
FINE_TUNED = "fine-tuned"
ZOOM = 1.25
"""Side of a photograph over that of its middle, of which the probe learns too."""
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
    candidates = [class_frequencies(split)]
    log(candidates[-1])
    probe, head = linear_probe(split, trunk_of(settings, split.train), compute=compute)
    candidates.append(probe)
    log(candidates[-1])
    if settings.recipe == "full":
        candidates.append(fine_tuned(split, settings, head, seed=seed, compute=compute, console=console, run=run))
        log(candidates[-1])
    return {candidate.name: candidate for candidate in sorted(candidates, key=lambda item: item.metrics["log_loss"])}


def choose(candidates: Mapping[str, Candidate[FittedClassifier]]) -> str:
    """Return the name of the candidate with the least validation loss among those that can be served."""
    servable = {name: candidate.metrics["log_loss"] for name, candidate in candidates.items() if candidate.servable}
    return min(servable, key=lambda name: servable[name])


def class_frequencies(split: Split) -> Candidate[FittedClassifier]:
    """Return the shares of the classes in the training part, for every picture: a baseline that sees none."""
    counts = np.bincount(labels_of(split.train), minlength=len(split.labels))
    logits = np.tile(np.log(counts / counts.sum()), (len(split.validation), 1))
    metrics = {**_measure(split, softmax(logits)), "fit_seconds": 0.0}
    return Candidate(FREQUENCIES, metrics, FittedClassifier(logits, None), servable=False)


def linear_probe(
    split: Split, trunk: Trunk, *, compute: Compute = DEFAULT_COMPUTE
) -> tuple[Candidate[FittedClassifier], Head]:
    """Fit a head on the features of the pretrained trunk, which stays as it is; return the candidate and the head.

    It learns from each photograph in four views: whole and its middle alone, and the mirror images of both.
    """
    side = trunk.preprocessing.crop
    middle = replace(trunk, preprocessing=replace(trunk.preprocessing, resize=round(side * ZOOM)))
    with counting("features of the pretrained network", "pictures") as advance:
        validation, *views = (
            features_of(photos, seen, mirrored=mirrored, compute=compute, advance=advance)
            for photos, seen, mirrored in (
                (split.validation, trunk, False),
                *((split.train, seen, mirrored) for seen in (trunk, middle) for mirrored in (False, True)),
            )
        )
    begun = time.perf_counter()
    rows, labels = np.concatenate([view.rows for view in views]), np.tile(labels_of(split.train), len(views))
    head, strength = fit_probe(rows, labels, validation.rows, labels_of(split.validation))
    seconds = validation.seconds + sum(view.seconds for view in views) + time.perf_counter() - begun
    logits = head.logits(validation.rows)
    metrics = {**_at_best_temperature(split, logits), "fit_seconds": round(seconds, 1), "strength": strength}
    return Candidate(PROBE, metrics, FittedClassifier(logits, Network(trunk, head))), head


def fine_tuned(
    split: Split,
    settings: ModelSettings,
    start: Head | None,
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
    console: Console | None = None,
    run: RunLog = UNTRACKED,
) -> Candidate[FittedClassifier]:
    """Train every layer, from this head or a random one; a training that was killed is taken up again."""
    from image_classifier.models.finetune import fit_network

    console = console or Console(quiet=True)

    def report(epoch: Epoch) -> None:
        console.print(
            f"{FINE_TUNED}, epoch {epoch.number}/{settings.tuning.epochs}: loss {epoch.training_loss:.3f}, validation "
            f"loss {epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.1%}, {epoch.seconds:.0f} s"
        )
        losses = {"training_loss": epoch.training_loss, "validation_loss": epoch.validation_loss}
        run.log_metrics(losses | {"validation_accuracy": epoch.validation_accuracy}, step=epoch.number)

    network, history = fit_network(split, settings, start, seed=seed, compute=compute, console=console, report=report)
    features = features_of(split.validation, network.trunk, compute=compute.model_copy(update={"work": None}))
    logits = network.head.logits(features.rows)
    seconds = sum(epoch.seconds for epoch in history)
    metrics = {**_at_best_temperature(split, logits), "fit_seconds": round(seconds, 1)}
    return Candidate(FINE_TUNED, metrics, FittedClassifier(logits, network, settings.tuning, tuple(history)))


def evaluate_baselines(
    split: Split,
    settings: ModelSettings,
    candidates: Mapping[str, Candidate[FittedClassifier]],
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
) -> dict[str, dict[str, Interval]]:
    """Measure candidates that were not chosen on the test split, by name."""
    del settings
    labels = labels_of(split.test)
    return {
        name: measure(labels, probabilities_on_test(candidate.model, split, compute=compute), seed=seed)
        for name, candidate in candidates.items()
    }


def probabilities_on_test(
    model: FittedClassifier, split: Split, *, compute: Compute = DEFAULT_COMPUTE
) -> NDArray[np.float64]:
    """Return probabilities on the test split; those of a network at the temperature that was best on validation."""
    if model.network is None:
        return softmax(np.tile(model.validation_logits[:1], (len(split.test), 1)))
    features = features_of(split.test, model.network.trunk, compute=compute.model_copy(update={"work": None}))
    temperature = fit_temperature(labels_of(split.validation), model.validation_logits)
    return softmax(model.network.head.logits(features.rows) / temperature)


def _at_best_temperature(split: Split, logits: NDArray[np.float64]) -> dict[str, float]:
    return _measure(split, softmax(logits / fit_temperature(labels_of(split.validation), logits)))


def _measure(split: Split, probabilities: NDArray[np.float64]) -> dict[str, float]:
    labels = labels_of(split.validation)
    return {
        "log_loss": log_loss_error(labels, probabilities),
        "accuracy": accuracy_score(labels, probabilities),
    }
