"""From a chosen candidate to what is served: exported, shrunk if that costs little, and calibrated on validation."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor

from image_classifier.config import FineTuneSettings, ModelSettings
from image_classifier.data.load import Split
from image_classifier.data.photos import examples_of, labels_of, pixel_batches, pixels_of, spread
from image_classifier.data.preprocessing import Pixels, Preprocessing
from image_classifier.models.calibrate import Calibration, calibrate, fit_novelty
from image_classifier.models.export import Quantised, parts_of, quantise, to_onnx
from image_classifier.models.finetune import Epoch
from image_classifier.models.network import Classifier, Exportable, build_classifier
from image_classifier.models.predictor import Predictor, Rules, session
from portfolio_shared.evaluation.classification import fit_temperature
from portfolio_shared.results import Candidate

N_CALIBRATION = 100
"""Training pictures that the ranges of 8-bit activations are measured on."""
N_PARITY = 16


@dataclass(frozen=True)
class FittedClassifier:
    """What a candidate has learned, frozen: it can be measured, exported and drawn at any time.

    Attributes
    ----------
    validation_logits
        On the validation part, before any temperature [n, n_classes].
    weights
        State of the classifier; None for class frequencies, which are no network.
    tuning, history
        Hyper-parameters and epochs of the fine-tuning; None and empty where there was none.
    """

    validation_logits: NDArray[np.float64]
    preprocessing: Preprocessing
    weights: dict[str, Tensor] | None
    tuning: FineTuneSettings | None = None
    history: tuple[Epoch, ...] = ()

    def network(self, settings: ModelSettings, n_classes: int) -> Classifier:
        """Build the network anew, with these weights."""
        if self.weights is None:
            raise ValueError("class frequencies are no network")
        classifier, _ = build_classifier(settings, n_classes)
        classifier.load_state_dict(self.weights)
        return classifier


@dataclass(frozen=True)
class Exported:
    """The graph that is served, and its features of the validation part [n, n_features]."""

    graph: bytes
    temperature: float
    quantised: Quantised
    calibration: Calibration
    features: NDArray[np.float32]

    def details(self) -> dict[str, JsonValue]:
        """Return what the manifest and the report say of calibration and 8-bit integers."""
        quantised, calibration = self.quantised, self.calibration
        return {
            "temperature": self.temperature,
            "quantised": quantised.kept,
            "calibration": {
                "temperature": self.temperature,
                "before": calibration.error_before,
                "after": calibration.error_after,
            },
            "quantisation": {
                **{name: value for name, value in vars(quantised).items() if name != "graph"},
                "served": quantised.kept,
            },
        }


def fit(
    split: Split,
    settings: ModelSettings,
    chosen: Candidate[FittedClassifier],
    *,
    seed: int = 0,
    exported: Exported | None = None,
) -> Predictor:
    """Make the predictor of a candidate: of what `export` makes of it, and of pictures that it compares with."""
    exported = exported or export(split, settings, chosen, seed=seed)
    preprocessing, calibration = chosen.model.preprocessing, exported.calibration
    _, features = _outputs(exported.graph, pixel_batches(split.train, preprocessing))
    least = calibration.least_probability, calibration.least_confidence
    rules = Rules(split.labels, preprocessing, settings.coverage, *least)
    novelty = fit_novelty(features, exported.features, seed=seed)
    return Predictor(exported.graph, novelty, rules, examples_of(split.test))


def export(split: Split, settings: ModelSettings, chosen: Candidate[FittedClassifier], *, seed: int = 0) -> Exported:
    """Export a candidate, try 8-bit integers, and find the thresholds with the graph that will be served."""
    preprocessing, logits = chosen.model.preprocessing, chosen.model.validation_logits
    labels = labels_of(split.validation)
    temperature = fit_temperature(labels, logits)
    validation = [pixels_of(photo, preprocessing) for photo in split.validation]
    classifier = chosen.model.network(settings, len(split.labels))
    graph = to_onnx(Exportable(classifier, temperature), spread(validation, N_PARITY))

    drawn = np.random.default_rng(seed).permutation(len(split.train))[:N_CALIBRATION]
    quantised = quantise(graph, [pixels_of(split.train[i], preprocessing) for i in drawn], validation, labels)
    served = quantised.graph if quantised.kept else graph
    probabilities, features = _outputs(served, parts_of(validation))
    calibration = calibrate(labels, probabilities, logits, coverage=settings.coverage)
    return Exported(served, temperature, quantised, calibration, features)


def _outputs(graph: bytes, batches: Iterable[Pixels]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return probabilities [n, n_classes] and features [n, n_features] of an exported graph."""
    running = session(graph)
    rows = [running.run(["probabilities", "embedding"], {"pictures": batch}) for batch in batches]
    probabilities, features = (np.concatenate(column) for column in zip(*rows, strict=True))
    return probabilities.astype(np.float64), features
