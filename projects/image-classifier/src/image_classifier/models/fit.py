"""From a chosen candidate to what is served: shrunk if that costs little, and calibrated on validation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from image_classifier.config import DEFAULT_COMPUTE, Compute, FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import Photo, examples_of, labels_of, pixels_of
from image_classifier.models.calibrate import Calibration, calibrate, fit_novelty
from image_classifier.models.export import LEAST_PICTURES, Quantised, quantise, with_head
from image_classifier.models.predictor import Predictor, Rules
from image_classifier.models.probe import Head
from image_classifier.models.trunk import Trunk, outputs_of
from portfolio_shared.evaluation.classification import fit_temperature
from portfolio_shared.results import Candidate

N_CALIBRATION = 100
"""Training pictures that the ranges of 8-bit activations are measured on."""


@dataclass(frozen=True)
class Epoch:
    """Losses and cost of an epoch of fine-tuning; validation is of the averaged weights."""

    number: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Network:
    """A trunk, pretrained or fine-tuned, and the head on it."""

    trunk: Trunk
    head: Head

    def served(self, temperature: float) -> Trunk:
        """Return the graph of both, from pictures to probabilities."""
        return Trunk(with_head(self.trunk.graph, self.head, temperature), self.trunk.preprocessing)


@dataclass(frozen=True)
class FittedClassifier:
    """What a candidate has learned: it can be measured, exported and drawn at any time.

    Attributes
    ----------
    validation_logits
        On the validation part, before any temperature [n, n_classes].
    network
        None for class frequencies.
    tuning, history
        Hyper-parameters and epochs of the fine-tuning; None and empty where there was none.
    """

    validation_logits: NDArray[np.float64]
    network: Network | None
    tuning: FineTuneSettings | None = None
    history: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class Exported:
    """The graph that is served, and what it makes of the validation part: features [n, n_features] and labels [n].

    8-bit integers are None where too few pictures could show what they cost.
    """

    graph: Trunk
    temperature: float
    quantised: Quantised | None
    calibration: Calibration
    features: NDArray[np.float32]
    named: NDArray[np.int64]

    def details(self) -> dict[str, JsonValue]:
        """Return what the manifest and the report say of calibration and 8-bit integers."""
        quantised, calibration = self.quantised, self.calibration
        return {
            "temperature": self.temperature,
            "quantised": quantised is not None and quantised.kept,
            "calibration": {
                "temperature": self.temperature,
                "before": calibration.error_before,
                "after": calibration.error_after,
            },
            "quantisation": None
            if quantised is None
            else {
                **{name: value for name, value in vars(quantised).items() if name != "graph"},
                "served": quantised.kept,
            },
        }

    def summary(self) -> str:
        """Return in a line what 8-bit integers cost and gain."""
        if self.quantised is None:
            return f"8-bit integers: not tried; fewer than {LEAST_PICTURES} validation pictures cannot show their cost"
        return self.quantised.summary()


def fit(
    split: Split,
    settings: ModelSettings,
    chosen: Candidate[FittedClassifier],
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
    exported: Exported | None = None,
) -> Predictor:
    """Make the predictor of a candidate: of what `export` makes of it, and of pictures that it compares with."""
    exported = exported or export(split, settings, chosen, seed=seed, compute=compute)
    graph, calibration = exported.graph, exported.calibration
    _, features = _outputs(graph, split.train, compute)
    least = calibration.least_probability, calibration.least_confidence
    rules = Rules(split.labels, graph.preprocessing, settings.coverage, *least)
    numbers: dict[Path, int] = {}
    groups = np.array([numbers.setdefault(photo.path, len(numbers)) for photo in split.train])
    novelty = fit_novelty(
        features,
        labels_of(split.train),
        exported.features,
        exported.named,
        n_classes=len(split.labels),
        frozen=chosen.model.tuning is None,
        groups=groups,
        seed=seed,
    )
    return Predictor(graph.graph, novelty, rules, examples_of(split.test))


def export(
    split: Split,
    settings: ModelSettings,
    chosen: Candidate[FittedClassifier],
    *,
    seed: int = 0,
    compute: Compute = DEFAULT_COMPUTE,
) -> Exported:
    """Join trunk and head, try 8-bit integers, and find the thresholds with the graph that will be served."""
    network, logits = chosen.model.network, chosen.model.validation_logits
    if network is None:
        raise ValueError(f"{chosen.name} are no network")
    labels, preprocessing = labels_of(split.validation), network.trunk.preprocessing
    temperature = fit_temperature(labels, logits)
    served = network.served(temperature)
    quantised = None
    if len(split.validation) >= LEAST_PICTURES:
        drawn = np.random.default_rng(seed).permutation(len(split.train))[:N_CALIBRATION]
        calibration, validation = (
            [pixels_of(photo, preprocessing) for photo in photos]
            for photos in ([split.train[i] for i in drawn], split.validation)
        )
        quantised = quantise(served.graph, calibration, validation, labels)
        if quantised.kept:
            served = Trunk(quantised.graph, preprocessing)
    probabilities, features = _outputs(served, split.validation, compute)
    thresholds = calibrate(labels, probabilities.astype(np.float64), logits, coverage=settings.coverage)
    return Exported(served, temperature, quantised, thresholds, features, probabilities.argmax(axis=1))


def _outputs(
    graph: Trunk, photos: tuple[Photo, ...], compute: Compute
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities [n, n_classes] and features [n, n_features] of a graph that is served."""
    probabilities, features = outputs_of(graph, ("probabilities", "embedding"), photos, threads=compute.threads)
    return probabilities, features
