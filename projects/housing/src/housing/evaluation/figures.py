"""The project's figures, in the house style."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from housing.evaluation.errors import by_group
from housing.evaluation.evaluate import Evaluation
from housing.models.fit import OutOfFold
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[OutOfFold]], folder: Path) -> None:
    """Write the figures as SVG."""
    quintiles = [group for group in by_group(evaluation) if group.by == "price quintile"]
    nominal = np.array(list(evaluation.calibration))
    measured = np.array(list(evaluation.calibration.values()))
    paid, predicted = evaluation.sales.prices, evaluation.predicted
    spread = 1.96 * np.sqrt(measured * (1 - measured) / len(paid))
    drawn = {
        "candidates": charts.interval_bars(
            list(candidates),
            [_fold_interval(candidate.model.fold_rmsle) for candidate in candidates.values()],
            xlabel="RMSLE over folds: mean and its standard error, lower is better",
            title="Candidates",
        ),
        "predicted-actual": charts.scatter_predicted_actual(
            paid / 1000, predicted / 1000, unit="thousand dollars", title="Test houses: predicted against paid"
        ),
        "residuals": charts.residual_plot(
            np.log(paid),
            np.log(predicted),
            unit="log dollars",
            title="Errors by predicted price",
        ),
        "coverage": charts.coverage_bars(
            [group.name for group in quintiles],
            [group.coverage for group in quintiles],
            nominal=0.9,
            counts=[group.houses for group in quintiles],
            title="Share of prices inside their 90 % interval, by price quintile",
        ),
        "calibration": charts.line_with_band(
            nominal,
            {"measured": (measured, measured - spread, measured + spread), "nominal": (nominal, nominal, nominal)},
            xlabel="Nominal coverage",
            ylabel="Measured coverage",
            title="Coverage of the intervals at other levels",
        ),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


def _fold_interval(values: Sequence[float]) -> Interval:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - error, mean + error)
