"""Metrics with intervals on the test split, and the comparison with the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from image_classifier.config import MODEL_NAME
from image_classifier.data.load import Split, load, split
from image_classifier.data.photos import Photo, labels_of, pixel_batches
from image_classifier.data.preprocessing import to_pixels
from image_classifier.evaluation.out_of_distribution import draw_pictures, sample_photographs
from image_classifier.models.predictor import Prediction, Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import (
    accuracy_score,
    expected_calibration_error,
    f1_macro_score,
    label_set_threshold,
    log_loss_error,
)
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

METRIC_LABELS = {
    "accuracy": "accuracy",
    "f1_macro": "F1, mean over classes",
    "log_loss": "log loss",
    "calibration_error": "expected calibration error",
    "set_coverage": "label sets that hold the truth",
    "set_size": "labels in a set, mean",
    "unsure": "unsure, of pictures of the classes",
    "unsure_out_of_distribution": "unsure, of pictures of none",
    "accuracy_if_sure": "accuracy where not unsure",
}


@dataclass(frozen=True)
class Evaluation:
    """Predictions for the test part, and their metrics.

    Attributes
    ----------
    labels, predictions
        True label numbers of the test part [n], and what was predicted for it.
    out_of_distribution
        By kind: the share of the pictures of no class that the model is unsure of.
    sample_photographs
        Predictions for the photographs that come with scikit-learn.
    metrics
        With their 95 % bootstrap intervals over pictures.
    """

    predictor: Predictor
    split: Split
    labels: NDArray[np.int64]
    predictions: tuple[Prediction, ...]
    out_of_distribution: dict[str, float]
    sample_photographs: dict[str, Prediction]
    metrics: dict[str, Interval]

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Calibrated probabilities [n, n_classes]."""
        return _probabilities(self.predictions)

    @cached_property
    def redrawn_coverage(self) -> Interval:
        """Coverage of the label sets when chance decides which held-out pictures calibrate, and its range."""
        validation = predictions_of(self.predictor, self.split.validation)
        return coverage_of_redraws(
            np.concatenate([labels_of(self.split.validation), self.labels]),
            np.concatenate([_probabilities(validation), self.probabilities]),
            n_calibration=len(validation),
            coverage=self.predictor.coverage,
        )


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Classify every test photograph and every picture of no class as the service would, and measure."""
    predictions, labels = predictions_of(predictor, split.test), labels_of(split.test)
    probabilities = _probabilities(predictions)
    unsure = _unsure(predictions)
    of_others = {kind: _unsure(_predictions_of_images(predictor, images)) for kind, images in draw_pictures().items()}
    rows = {
        "set_coverage": np.array(
            [label in prediction.label_set for label, prediction in zip(labels, predictions, strict=True)], dtype=float
        ),
        "set_size": np.array([len(prediction.label_set) for prediction in predictions], dtype=float),
        "unsure": unsure,
        "unsure_out_of_distribution": np.concatenate(list(of_others.values())),
    }
    if not unsure.all():
        right = probabilities.argmax(axis=1) == labels
        rows["accuracy_if_sure"] = right[unsure == 0].astype(float)
    metrics = measure(labels, probabilities, seed=seed)
    metrics |= {name: bootstrap_interval(np.mean, values, seed=seed) for name, values in rows.items()}
    by_kind = {kind: float(values.mean()) for kind, values in of_others.items()}
    samples = sample_photographs()
    of_samples = dict(zip(samples, _predictions_of_images(predictor, list(samples.values())), strict=True))
    return Evaluation(predictor, split, labels, tuple(predictions), by_kind, of_samples, metrics)


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, seed: int = 0) -> dict[str, Interval]:
    """Return the metrics of any probabilities, served or not, with their intervals."""
    metrics = {
        "accuracy": accuracy_score,
        "f1_macro": f1_macro_score,
        "log_loss": log_loss_error,
        "calibration_error": expected_calibration_error,
    }
    return {
        name: bootstrap_interval(metric, labels, probabilities, n_resamples=1000, seed=seed)
        for name, metric in metrics.items()
    }


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate this model's log loss minus the champion's, on this model's test pictures."""
    theirs = _probabilities(predictions_of(champion, evaluation.split.test))
    return paired_bootstrap(log_loss_error, evaluation.labels, theirs, evaluation.probabilities)


def predictions_of(predictor: Predictor, photos: Sequence[Photo], *, heat: bool = False) -> list[Prediction]:
    """Classify photographs a few at a time; the memory does not grow with their number."""
    batches = pixel_batches(photos, predictor.preprocessing)
    return [prediction for batch in batches for prediction in predictor.predict(list(batch), heat=heat)]


def coverage_of_redraws(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    n_calibration: int,
    coverage: float,
    n_redraws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return what label sets cover when chance decides which held-out pictures calibrate and which are tested.

    One split says little: the coverage of a single calibration varies by more than the pictures of one test show.

    Returns
    -------
    Interval
        Mean coverage, and the range of 95 % of the redraws.
    """
    rng = np.random.default_rng(seed)
    covered = []
    for _ in range(n_redraws):
        drawn = rng.permutation(len(labels))
        calibration, test = drawn[:n_calibration], drawn[n_calibration:]
        least = label_set_threshold(labels[calibration], probabilities[calibration], coverage=coverage)
        of_truth = probabilities[test, labels[test]]
        covered.append(float(np.mean((of_truth >= least) | (of_truth == probabilities[test].max(axis=1)))))
    low, high = np.quantile(covered, [0.025, 0.975])
    return Interval(float(np.mean(covered)), float(low), float(high))


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test split of these data.

    Raises
    ------
    ValueError
        If the data have other classes than the model.
    """
    manifest = read_manifest(bundle, project=MODEL_NAME)
    predictor, dataset = Predictor.load(bundle), load(setting)
    console.print(dataset.source.reason)
    if dataset.labels != predictor.labels:
        theirs, ours = ", ".join(dataset.labels), ", ".join(predictor.labels)
        raise ValueError(f"the pictures are of {theirs}; the model names {ours}")
    parts = split(dataset, split_seed=int(str(manifest.config["seed"])))
    if split_digest([photo.key for photo in parts.test]) != manifest.data.test_split_sha256:
        known = "of all of flower_photos a sample's model has learned from none, and of others it may have"
        warning = "it may have learned from some of them" if manifest.data.source != "sample" else known
        console.print(f"These are not the pictures that the bundle was tested on: {warning}.")
    for name, interval in evaluate(predictor, parts).metrics.items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")


def _probabilities(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.stack([prediction.probabilities for prediction in predictions])


def _unsure(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.array([prediction.unsure is not None for prediction in predictions], dtype=float)


def images_unsure(predictor: Predictor, images: Sequence[Image.Image]) -> float:
    """Return the share of pictures that the model is unsure of."""
    return float(_unsure(_predictions_of_images(predictor, images)).mean())


def _predictions_of_images(predictor: Predictor, images: Sequence[Image.Image]) -> list[Prediction]:
    return [predictor.predict([to_pixels(image.convert("RGB"), predictor.preprocessing)])[0] for image in images]
