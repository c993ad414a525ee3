"""Metrics with intervals on rows that the model was not trained on, and the comparison with the champion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from new_project.config import MODEL_NAME
from new_project.data.columns import schema
from new_project.data.load import Rows, Split, load, split
from new_project.models.predictor import Predictor, bands_of
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.conformal import interval_coverage, mean_interval_width
from portfolio_shared.evaluation.regression import mean_absolute_error, mean_error, median_absolute_error, r2_score
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

Floats = NDArray[np.float64]

SUMMARY = "mean_absolute_error"
METRICS = {
    "mean_absolute_error": mean_absolute_error,
    "median_absolute_error": median_absolute_error,
    "mean_error": mean_error,
    "r2_score": r2_score,
}
METRIC_LABELS = {
    "mean_absolute_error": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "mean_error": "mean error (above 0: too high)",
    "r2_score": "R²",
    "interval_coverage": "share inside the interval",
    "mean_interval_width": "mean width of the intervals",
}


@dataclass(frozen=True)
class Evaluation:
    """What the test split says.

    Attributes
    ----------
    predicted, low, high
        Prediction and interval of each of the rows, shape (n,).
    bands
        The band of predictions that each row's interval is of, shape (n,).
    metrics
        Name -> estimate with its 95 % bootstrap interval over rows.
    importance
        Column -> how much the mean absolute error grows if its values are dealt out anew among the rows.
    """

    rows: Rows
    predicted: Floats
    low: Floats
    high: Floats
    bands: NDArray[np.intp]
    metrics: dict[str, Interval]
    importance: dict[str, float]


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Evaluate on the test part."""
    rows = split.test
    predicted, low, high = predictor.values(rows.records)
    metrics = measure(rows, predicted, low, high, seed=seed)
    importance = permuted(predictor, rows, metrics[SUMMARY].estimate, seed=seed)
    return Evaluation(rows, predicted, low, high, bands_of(predictor.edges, predicted), metrics, importance)


def measure(rows: Rows, predicted: Floats, low: Floats, high: Floats, *, seed: int = 0) -> dict[str, Interval]:
    """Return every metric with its interval."""
    truth = rows.target
    return {
        **{name: bootstrap_interval(metric, truth, predicted, seed=seed) for name, metric in METRICS.items()},
        "interval_coverage": bootstrap_interval(interval_coverage, truth, low, high, seed=seed),
        "mean_interval_width": bootstrap_interval(mean_interval_width, low, high, seed=seed),
    }


def permuted(predictor: Predictor, rows: Rows, error: float, *, seed: int) -> dict[str, float]:
    """Return the permutation importance of each column (Breiman 2001), the largest first."""
    order, grown = np.random.default_rng(seed).permutation(len(rows)), {}
    for column in schema().columns:
        changed = [
            {**record, column.name: rows.records[other][column.name]}
            for record, other in zip(rows.records, order.tolist(), strict=True)
        ]
        grown[column.label] = mean_absolute_error(rows.target, predictor.values(changed)[0]) - error
    return dict(sorted(grown.items(), key=lambda item: -item[1]))


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate this model's mean absolute error minus the champion's, on this model's test rows."""
    theirs = champion.values(evaluation.rows.records)[0]
    return paired_bootstrap(mean_absolute_error, evaluation.rows.target, theirs, evaluation.predicted)


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test split of these data."""
    manifest = read_manifest(bundle, project=MODEL_NAME)
    dataset = load(setting)
    console.print(dataset.source.reason)
    test = split(dataset).test
    if split_digest(test.keys) != manifest.data.test_split_sha256:
        console.print("These are not the rows that the bundle was tested on: some may be rows it learned from.")
    for name, interval in measure(test, *Predictor.load(bundle).values(test.records)).items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")
