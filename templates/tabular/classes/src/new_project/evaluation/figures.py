"""The project's figures, in the house style: titles say what the numbers say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from new_project.config import COVERAGE
from new_project.data.columns import schema
from new_project.evaluation.errors import by_group
from new_project.evaluation.evaluate import Evaluation
from new_project.models.fit import Fitted
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.classification import confusion_matrix, recall_scores, reliability
from portfolio_shared.evaluation.uncertainty import Interval, wilson_interval
from portfolio_shared.results import Candidate

MOST_COLUMNS, BINS = 15, 8


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Fitted]], folder: Path) -> None:
    """Write the figures as SVG."""
    names, label = list(schema().target.classes), schema().target.label
    recall = np.nan_to_num(recall_scores(confusion_matrix(evaluation.labels, evaluation.probabilities)))
    groups = [group for group in by_group(evaluation) if group.by == label]
    worst = min(groups, key=lambda group: group.set_coverage)
    important = dict(list(evaluation.importance.items())[:MOST_COLUMNS])
    right = evaluation.metrics["accuracy_score"].estimate
    drawn = {
        "candidates": charts.interval_bars(
            list(candidates),
            [_fold_interval(candidate.model.fold_errors) for candidate in candidates.values()],
            xlabel="log loss over folds, and its standard error: lower is better",
            title=f"{next(iter(candidates)).capitalize()} has the lowest log loss in cross-validation",
        ),
        "result": charts.horizontal_bars(
            names,
            recall,
            xlabel=f"share of the test rows of each {label} that is recognized",
            title=f"{100 * right:.0f} % of the test rows are right; {names[int(recall.argmin())]} is recognized least",
            shares=True,
        ),
        "failures": charts.coverage_bars(
            [group.name for group in groups],
            [group.set_coverage for group in groups],
            nominal=COVERAGE,
            counts=[group.rows for group in groups],
            title=f"Sets of classes hold {100 * worst.set_coverage:.0f} % of {worst.name}, the worst",
        ),
        "calibration": draw_calibration(evaluation),
        "importance": charts.horizontal_bars(
            list(important),
            list(important.values()),
            xlabel="growth of the log loss if the column is shuffled",
            title=f"What matters most: {next(iter(important))}",
        ),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


def draw_calibration(evaluation: Evaluation) -> Figure:
    """Draw how often an answer is right against how sure it is."""
    bins = reliability(evaluation.labels, evaluation.probabilities, BINS)
    sure, measured, share = (np.array(each) for each in zip(*bins, strict=True))
    low, high = wilson_interval(measured, share * len(evaluation.rows))
    error = evaluation.metrics["expected_calibration_error"].estimate
    return charts.line_with_band(
        sure,
        {"measured": (measured, low, high), "true": (sure, sure, sure)},
        xlabel="Probability of the most probable class",
        ylabel="Share that is right",
        title=f"Probabilities are off by {100 * error:.1f} points on average",
    )


def _fold_interval(values: Sequence[float]) -> Interval:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - error, mean + error)
