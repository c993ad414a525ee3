"""Metrics with intervals on the test split, and the comparison with the champion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from new_project.config import MODEL_NAME
from new_project.data.images import read
from new_project.data.load import Part, Split, load, split
from new_project.models.predictor import Prediction, Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import LEAST
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

Floats = NDArray[np.float64]
METRIC_LABELS = {
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "set_coverage": "label sets that hold the right label",
    "unsure": "share that is unsure",
}
SUMMARY = "accuracy"


@dataclass(frozen=True)
class Evaluation:
    """What the test says of a predictor: its predictions, one value a picture, means with 95 % intervals."""

    part: Part
    labels: tuple[str, ...]
    predictions: list[Prediction]
    per_picture: dict[str, Floats]
    metrics: dict[str, Interval]


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Ask the predictor for the pictures of the test, and measure its answers."""
    predictions = [predictor.predict([read(picture.path)])[0] for picture in split.test.pictures]
    truth = split.test.numbers(split.labels)
    per_picture = accuracy_and_loss(np.array([each.probabilities for each in predictions]), truth)
    per_picture |= {
        "set_coverage": np.array(
            [label in each.label_set for label, each in zip(truth, predictions, strict=True)], float
        ),
        "unsure": np.array([each.unsure is not None for each in predictions], float),
    }
    return Evaluation(split.test, split.labels, predictions, per_picture, intervals(per_picture, seed=seed))


def accuracy_and_loss(probabilities: Floats, truth: NDArray[np.int64]) -> dict[str, Floats]:
    """Return of each picture whether the first label is right, and minus the log of the right label's probability."""
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    return {"accuracy": right, "log_loss": -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], LEAST))}


def intervals(per_picture: dict[str, Floats], *, seed: int) -> dict[str, Interval]:
    """Return the mean of each metric with its bootstrap interval."""
    return {name: bootstrap_interval(np.mean, values, seed=seed) for name, values in per_picture.items()}


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate the log loss of the same pictures, this model's minus the champion's; below 0 is better.

    A label that the champion does not know has no probability.
    """
    theirs = np.array(
        [
            dict(zip(champion.labels, champion.predict([read(picture.path)])[0].probabilities, strict=True)).get(
                picture.label, 0.0
            )
            for picture in evaluation.part.pictures
        ]
    )
    losses = -np.log(np.maximum(theirs, LEAST)), evaluation.per_picture["log_loss"]
    return paired_bootstrap(lambda _, losses: float(np.mean(losses)), np.zeros(len(theirs)), *losses)


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test of these data."""
    manifest, data = read_manifest(bundle, project=MODEL_NAME), load(setting)
    console.print(data.source.reason)
    parts = split(data)
    if split_digest(parts.test.keys) != manifest.data.test_split_sha256:
        console.print(
            "These are not the pictures that the bundle was tested on: it may have learned from some of them."
        )
    predictor = Predictor.load(bundle)
    if predictor.labels != parts.labels:
        raise ValueError(f"the bundle names {', '.join(predictor.labels)}, and the data {', '.join(parts.labels)}")
    evaluation = evaluate(predictor, parts, seed=int(str(manifest.config["seed"])))
    for name, interval in evaluation.metrics.items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
