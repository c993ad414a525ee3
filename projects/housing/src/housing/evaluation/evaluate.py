"""How good the model is, where it fails, and how sure that is: on houses it has never seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from housing.data.load import Sales
from housing.evaluation.errors import Answers, Group, Miss, by_group, worst
from housing.models.predictor import Predictor
from portfolio_shared.evaluation.conformal import conformal_quantile, interval_coverage, mean_interval_width
from portfolio_shared.evaluation.regression import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_log_error,
)
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval

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
    "mean_error": "mean error, dollars (above 0: too dear)",
    "r2_score": "R²",
    "interval_coverage": "coverage of the 90 % intervals",
    "mean_interval_width": "mean width of the intervals, dollars",
}
LARGE = 4000  # square feet: five houses, three of them partly built and cheap, move the score by 0.008


@dataclass(frozen=True)
class Evaluation:
    """What the test split says.

    Attributes
    ----------
    metrics
        Name -> estimate with its 95 % bootstrap interval over houses; dollars where not relative.
    width_ratio
        Mean interval width over that of one constant half width for every house, of the same coverage, calibrated on
        the same out-of-fold errors: in dollars, and constant in relative terms; and over the range of the training
        prices that holds the same share of them, which knows nothing of the house.
    calibration
        Nominal coverage -> measured coverage.
    """

    answers: Answers
    metrics: dict[str, Interval]
    groups: list[Group]
    misses: list[Miss]
    width_ratio: dict[str, float]
    calibration: dict[float, float]


def evaluate(
    predictor: Predictor, sales: Sales, out_of_fold: Floats, training_prices: Floats, *, seed: int = 0
) -> Evaluation:
    """Evaluate on sales that the predictor was not trained on.

    Parameters
    ----------
    out_of_fold
        Log prices of the training houses when they were held out: what the unconditional intervals are calibrated on.
    training_prices
        Dollars, in the same order.
    """
    answers = Answers(sales, *predictor.price_and_interval(sales.records))
    return Evaluation(
        answers=answers,
        metrics=measure(answers, seed=seed),
        groups=by_group(answers),
        misses=worst(answers, predictor),
        width_ratio=_width_ratio(answers, predictor, out_of_fold, training_prices),
        calibration=_calibration(answers, predictor),
    )


def measure(answers: Answers, *, seed: int = 0) -> dict[str, Interval]:
    """Return every metric with its interval."""
    paid, predicted, low, high = answers.paid, answers.predicted, answers.low, answers.high
    usual = answers.sales.frame["gr_liv_area"].to_numpy() <= LARGE
    return {
        **{name: bootstrap_interval(metric, paid, predicted, seed=seed) for name, metric in METRICS.items()},
        "root_mean_squared_log_error_up_to_4000_sf": bootstrap_interval(
            root_mean_squared_log_error, paid[usual], predicted[usual], seed=seed
        ),
        "interval_coverage": bootstrap_interval(interval_coverage, paid, low, high, seed=seed),
        "mean_interval_width": bootstrap_interval(mean_interval_width, low, high, seed=seed),
    }


def baseline_metrics(
    candidates: Mapping[str, Floats], prices: Floats, *, seed: int = 0
) -> dict[str, dict[str, Interval]]:
    """Return each baseline's metrics on the same houses, from its log prices, shape (n,)."""
    return {
        name: {metric: bootstrap_interval(METRICS[metric], prices, np.exp(log_prices), seed=seed) for metric in METRICS}
        for name, log_prices in candidates.items()
    }


def _width_ratio(answers: Answers, predictor: Predictor, out_of_fold: Floats, prices: Floats) -> dict[str, float]:
    coverage = predictor.intervals.coverage
    dollars = conformal_quantile(np.abs(prices - np.exp(out_of_fold)), coverage=coverage)
    relative = conformal_quantile(np.abs(np.log(prices) - out_of_fold), coverage=coverage)
    own = mean_interval_width(answers.low, answers.high)
    constant = answers.predicted * 2 * np.sinh(relative)
    low, high = np.quantile(prices, [(1 - coverage) / 2, (1 + coverage) / 2])
    return {
        "constant_dollars": own / (2 * dollars),
        "constant_relative": own / float(np.mean(constant)),
        "no_model": own / float(high - low),
    }


def _calibration(answers: Answers, predictor: Predictor) -> dict[float, float]:
    """Return nominal -> measured coverage of the intervals at other levels, from the same scores."""
    intervals = predictor.intervals
    log_price = np.log(answers.predicted)
    band = intervals.band_of(log_price)
    scale = np.log(answers.high / answers.low) / 2 / intervals.quantiles[band]
    score = np.abs(np.log(answers.paid) - log_price) / scale
    levels = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    return {level: float(np.mean(score <= intervals.quantiles_at(level)[band])) for level in levels}
