"""The project's figures, in the house style: titles say what the numbers say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from new_project.config import COVERAGE, TARGET_FORM
from new_project.data.columns import schema
from new_project.evaluation.errors import by_group
from new_project.evaluation.evaluate import Evaluation
from new_project.models.fit import Fitted
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate

MOST_COLUMNS = 15


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Fitted]], folder: Path) -> None:
    """Write the figures as SVG."""
    label, error = schema().target.label, evaluation.metrics["mean_absolute_error"].estimate
    fifths = [group for group in by_group(evaluation) if group.by.startswith("fifth of")]
    worst = min(fifths, key=lambda group: group.coverage)
    important = dict(list(evaluation.importance.items())[:MOST_COLUMNS])
    drawn = {
        "candidates": charts.interval_bars(
            list(candidates),
            [_fold_interval(candidate.model.fold_errors) for candidate in candidates.values()],
            xlabel="mean absolute error over folds, and its standard error: lower is better",
            title=f"{next(iter(candidates)).capitalize()} has the lowest error in cross-validation",
        ),
        "result": charts.scatter_predicted_actual(
            evaluation.rows.target,
            evaluation.predicted,
            unit=label,
            title=f"Test rows: off by {error:{TARGET_FORM}} on average",
        ),
        "failures": charts.coverage_bars(
            [group.name for group in fifths],
            [group.coverage for group in fifths],
            nominal=COVERAGE,
            counts=[group.rows for group in fifths],
            title=f"Intervals hold {100 * worst.coverage:.0f} % in fifth {worst.name} of {label}, the worst",
        ),
        "importance": charts.horizontal_bars(
            list(important),
            list(important.values()),
            xlabel="growth of the mean absolute error if the column is shuffled",
            title=f"What matters most: {next(iter(important))}",
        ),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


def _fold_interval(values: Sequence[float]) -> Interval:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - error, mean + error)
