"""The project's figures, in the house style."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from housing.evaluation.candidates import Candidate
from housing.evaluation.evaluate import Evaluation
from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.uncertainty import Interval


def draw(evaluation: Evaluation, candidates: Sequence[Candidate], folder: Path) -> list[Path]:
    """Write the figures as SVG; return their paths."""
    quintiles = [group for group in evaluation.groups if group.by == "price quintile"]
    nominal = np.array(list(evaluation.calibration))
    measured = np.array(list(evaluation.calibration.values()))
    spread = 1.96 * np.sqrt(measured * (1 - measured) / len(evaluation.answers.paid))
    by_score = sorted(candidates, key=lambda candidate: candidate.summary["rmsle_mean"])
    bars = [_fold_interval(candidate.rmsle) for candidate in by_score]
    paid, predicted = evaluation.answers.paid, evaluation.answers.predicted
    drawn = {
        "candidates": figures.interval_bars(
            [candidate.name for candidate in by_score],
            bars,
            xlabel="RMSLE over folds: mean and its standard error, lower is better",
            title="Candidates",
        ),
        "predicted-actual": figures.scatter_predicted_actual(
            paid / 1000, predicted / 1000, unit="thousand dollars", title="Test houses: predicted against paid"
        ),
        "residuals": figures.residual_plot(
            np.log(paid),
            np.log(predicted),
            unit="log dollars",
            title="Errors by predicted price",
        ),
        "coverage": figures.coverage_bars(
            [group.name for group in quintiles],
            [group.coverage for group in quintiles],
            nominal=0.9,
            counts=[group.houses for group in quintiles],
            title="Share of prices inside their 90 % interval, by price quintile",
        ),
        "calibration": figures.line_with_band(
            nominal,
            {"measured": (measured, measured - spread, measured + spread), "nominal": (nominal, nominal, nominal)},
            xlabel="Nominal coverage",
            ylabel="Measured coverage",
            title="Coverage of the intervals at other levels",
        ),
    }
    return [figures.save_figure(figure, folder / f"{name}.svg") for name, figure in drawn.items()]


def _fold_interval(values: Sequence[float]) -> Interval:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - error, mean + error)
