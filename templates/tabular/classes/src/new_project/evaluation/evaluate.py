"""Metrics with intervals on rows that the model was not trained on, and the comparison with the champion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from new_project.config import MODEL_NAME
from new_project.data.columns import schema
from new_project.data.load import Rows, Split, load, split
from new_project.models.predictor import Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import (
    accuracy_score,
    expected_calibration_error,
    f1_macro_score,
    log_loss_error,
)
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

Floats = NDArray[np.float64]

SUMMARY = "log_loss_error"
METRICS = {
    "log_loss_error": log_loss_error,
    "accuracy_score": accuracy_score,
    "f1_macro_score": f1_macro_score,
    "expected_calibration_error": expected_calibration_error,
}
METRIC_LABELS = {
    "log_loss_error": "log loss",
    "accuracy_score": "accuracy",
    "f1_macro_score": "F1, mean over classes",
    "expected_calibration_error": "expected calibration error",
    "set_coverage": "share of sets that hold the class",
    "mean_set_size": "mean number of classes in a set",
}


@dataclass(frozen=True)
class Evaluation:
    """What the test split says.

    Attributes
    ----------
    probabilities
        Of each class, shape (n, K).
    in_set
        Whether each class is in the row's set, shape (n, K).
    metrics
        Name -> estimate with its 95 % bootstrap interval over rows.
    importance
        Column -> how much the log loss grows if its values are dealt out anew among the rows.
    """

    rows: Rows
    probabilities: Floats
    in_set: NDArray[np.bool_]
    metrics: dict[str, Interval]
    importance: dict[str, float]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The number of each row's class, shape (n,)."""
        return self.rows.target.astype(np.int64)


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Evaluate on the test part."""
    rows = split.test
    found = predictor.probabilities(rows.records)
    metrics = measure(predictor, rows, found, seed=seed)
    importance = permuted(predictor, rows, metrics[SUMMARY].estimate, seed=seed)
    return Evaluation(rows, found, sets_of(predictor, found), metrics, importance)


def sets_of(predictor: Predictor, found: Floats) -> NDArray[np.bool_]:
    """Return whether each class is in the row's set, shape (n, K)."""
    return np.asarray((found >= predictor.thresholds) | (found == found.max(axis=1, keepdims=True)))


def measure(predictor: Predictor, rows: Rows, found: Floats, *, seed: int = 0) -> dict[str, Interval]:
    """Return every metric with its interval."""
    truth, sets = rows.target.astype(np.int64), sets_of(predictor, found)
    held, size = sets[np.arange(len(truth)), truth].astype(np.float64), sets.sum(axis=1).astype(np.float64)
    return {
        **{name: bootstrap_interval(metric, truth, found, seed=seed) for name, metric in METRICS.items()},
        "set_coverage": bootstrap_interval(_mean, held, seed=seed),
        "mean_set_size": bootstrap_interval(_mean, size, seed=seed),
    }


def _mean(values: Floats) -> float:
    return float(values.mean())


def permuted(predictor: Predictor, rows: Rows, error: float, *, seed: int) -> dict[str, float]:
    """Return the permutation importance of each column (Breiman 2001), the largest first."""
    order, grown = np.random.default_rng(seed).permutation(len(rows)), {}
    for column in schema().columns:
        changed = [
            {**record, column.name: rows.records[other][column.name]}
            for record, other in zip(rows.records, order.tolist(), strict=True)
        ]
        found = predictor.probabilities(changed)
        grown[column.label] = log_loss_error(rows.target.astype(np.int64), found) - error
    return dict(sorted(grown.items(), key=lambda item: -item[1]))


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate this model's log loss minus the champion's, on this model's test rows."""
    theirs = champion.probabilities(evaluation.rows.records)
    return paired_bootstrap(log_loss_error, evaluation.labels, theirs, evaluation.probabilities)


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test split of these data."""
    manifest = read_manifest(bundle, project=MODEL_NAME)
    dataset = load(setting)
    console.print(dataset.source.reason)
    test, predictor = split(dataset).test, Predictor.load(bundle)
    if split_digest(test.keys) != manifest.data.test_split_sha256:
        console.print("These are not the rows that the bundle was tested on: some may be rows it learned from.")
    for name, interval in measure(predictor, test, predictor.probabilities(test.records)).items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
