"""Metrics with intervals on houses that the model was not trained on, and the comparison with the champion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from housing.config import MODEL_NAME
from housing.data.columns import Record
from housing.data.house import sparsely
from housing.data.load import LARGE, Sales, Split, load, split
from housing.models.predictor import Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.conformal import conformal_quantile, interval_coverage, mean_interval_width
from portfolio_shared.evaluation.regression import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_log_error,
)
from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison, bootstrap_interval, paired_bootstrap

Floats = NDArray[np.float64]

METRICS = {
    "root_mean_squared_log_error": root_mean_squared_log_error,
    "mean_absolute_error": mean_absolute_error,
    "median_absolute_error": median_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mean_error": mean_error,
    "r2_score": r2_score,
}
METRIC_LABELS = {
    "root_mean_squared_log_error": "RMSLE",
    "root_mean_squared_log_error_up_to_4000_sf": "RMSLE, houses up to 4,000 sq ft",
    "mean_absolute_error": "MAE, dollars",
    "median_absolute_error": "median absolute error, dollars",
    "mean_absolute_percentage_error": "mean absolute percentage error",
    "mean_error": "bias (mean signed error), dollars (above 0: overpriced)",
    "r2_score": "R²",
    "interval_coverage": "coverage of the 90 % intervals",
    "mean_interval_width": "mean width of the intervals, dollars",
}
OF_INTERVALS = ("interval_coverage", "mean_interval_width")
SPARSE = ("mean_absolute_error", "mean_absolute_percentage_error")


@dataclass(frozen=True)
class Evaluation:
    """What the test split says.

    Attributes
    ----------
    predicted, low, high
        Price and interval of each of the sales, in dollars, shape (n,).
    metrics
        Name -> estimate with its 95 % bootstrap interval over houses; dollars where not relative.
    sparse
        The metrics of `SPARSE` when the required fields alone are given, with the suffix _sparse.
    calibration
        Nominal coverage -> measured coverage.
    """

    sales: Sales
    predicted: Floats
    low: Floats
    high: Floats
    metrics: dict[str, Interval]
    sparse: dict[str, Interval]
    calibration: dict[float, float]


def evaluate(predictor: Predictor, split: Split, *, seed: int = 0) -> Evaluation:
    """Evaluate on the test part, at the price level of its sales."""
    sales = split.test
    predicted, low, high = at_level_of_sales(predictor, sales.records)
    metrics = measure(sales, predicted, low, high, seed=seed)
    guessed = at_level_of_sales(predictor, [sparsely(record) for record in sales.records])[0]
    sparse = {f"{name}_sparse": bootstrap_interval(METRICS[name], sales.prices, guessed, seed=seed) for name in SPARSE}
    return Evaluation(sales, predicted, low, high, metrics, sparse, _calibration(predictor, sales))


def at_level_of_sales(predictor: Predictor, records: Sequence[Record]) -> tuple[Floats, Floats, Floats]:
    """Return (price, low, high) in dollars of the sales, shape (n,) each: what feedback moved is taken off again."""
    level = np.exp([predictor.moved.get(str(record["neighborhood"]), 0.0) for record in records])
    price, low, high = predictor.price_and_interval(records)
    return price / level, low / level, high / level


def measure(sales: Sales, predicted: Floats, low: Floats, high: Floats, *, seed: int = 0) -> dict[str, Interval]:
    """Return every metric with its interval."""
    paid = sales.prices
    usual = sales.frame["gr_liv_area"].to_numpy() <= LARGE
    return {
        **{name: bootstrap_interval(metric, paid, predicted, seed=seed) for name, metric in METRICS.items()},
        "root_mean_squared_log_error_up_to_4000_sf": bootstrap_interval(
            root_mean_squared_log_error, paid[usual], predicted[usual], seed=seed
        ),
        "interval_coverage": bootstrap_interval(interval_coverage, paid, low, high, seed=seed),
        "mean_interval_width": bootstrap_interval(mean_interval_width, low, high, seed=seed),
    }


def compare_with_champion(evaluation: Evaluation, champion: Predictor) -> PairedComparison:
    """Return for the gate this model's RMSLE minus the champion's, on this model's test houses.

    A champion that was refitted has learned from such houses: what it said of them before stands for it. A challenger
    is always compared as it was evaluated.
    """
    sales = evaluation.sales
    predicted = at_level_of_sales(champion, sales.records)[0]
    if champion.held_out is not None:
        predicted = champion.held_out.instead_of(predicted, keys=sales.keys, paid=sales.prices)
    return paired_bootstrap(root_mean_squared_log_error, sales.prices, predicted, evaluation.predicted)


def width_ratios(evaluation: Evaluation, out_of_fold: Floats, prices: Floats, *, coverage: float) -> dict[str, float]:
    """Return the mean interval width over that of intervals which are alike for every house, of the same coverage.

    Those are one constant half width in dollars, and one in percent of the price, both calibrated on the same
    `out_of_fold` log prices of the training houses; and the range of their `prices` that holds the same share of them.
    """
    dollars = conformal_quantile(np.abs(prices - np.exp(out_of_fold)), coverage=coverage)
    relative = conformal_quantile(np.abs(np.log(prices) - out_of_fold), coverage=coverage)
    own = mean_interval_width(evaluation.low, evaluation.high)
    constant = evaluation.predicted * 2 * np.sinh(relative)
    low, high = np.quantile(prices, [(1 - coverage) / 2, (1 + coverage) / 2])
    return {
        "constant_dollars": own / (2 * dollars),
        "constant_relative": own / float(np.mean(constant)),
        "no_model": own / float(high - low),
    }


def evaluate_bundle(bundle: Path, setting: str, console: Console) -> None:
    """Print the metrics of a bundle on the frozen test split of these data.

    A bundle that was refitted has learned from its test houses. On exactly those its stored metrics are printed; among
    others its stored prices stand for them, and nothing is said of its intervals, of which none were stored.
    """
    manifest = read_manifest(bundle, project=MODEL_NAME)
    dataset = load(setting)
    console.print(dataset.source.reason)
    test, predictor = split(dataset).test, Predictor.load(bundle)
    held_out, same = predictor.held_out, split_digest(test.keys) == manifest.data.test_split_sha256
    known = np.zeros(len(test.keys), bool) if held_out is None else held_out.holds(keys=test.keys, paid=test.prices)
    if same and known.all():
        console.print("Refitted on all rows, its test houses among them: measured before, on those it had not seen.")
        metrics = {name: Interval(**manifest.metrics[name].model_dump()) for name in METRIC_LABELS}
    else:
        if not same:
            console.print("These are not the houses that the bundle was tested on: some may be houses it learned from.")
        predicted, low, high = at_level_of_sales(predictor, test.records)
        if held_out is not None:  # what it said before it learned from them
            predicted = held_out.instead_of(predicted, keys=test.keys, paid=test.prices)
        metrics = measure(test, predicted, low, high)
        if known.any():
            console.print(f"It learned from {known.sum()} of them: priced as before that; no intervals were stored.")
            metrics = {name: metric for name, metric in metrics.items() if name not in OF_INTERVALS}
    for name, interval in metrics.items():
        console.print(f"{METRIC_LABELS[name]}: {with_interval(interval)}")


def _calibration(predictor: Predictor, sales: Sales) -> dict[float, float]:
    """Return nominal -> measured coverage of the intervals at other levels."""
    measured = {}
    for level in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        full, sparse = (replace(kind, coverage=level) for kind in (predictor.intervals, predictor.sparse_intervals))
        other = replace(predictor, intervals=full, sparse_intervals=sparse)
        _, low, high = at_level_of_sales(other, sales.records)
        measured[level] = interval_coverage(sales.prices, low, high)
    return measured
