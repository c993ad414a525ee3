"""The project's figures, in the house style; each title states what the numbers show."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from new_project.config import K
from new_project.evaluation.errors import PARTS
from new_project.evaluation.evaluate import METRIC_LABELS, Evaluation
from new_project.models.fit import Fitted
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.results import Candidate


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Fitted]], folder: Path) -> None:
    """Write the figures of a training as SVG: candidates on validation, the served model by length of the history."""
    for metric in ("ndcg", "hit_rate"):
        intervals = {
            name: Interval(*(each.metrics[f"{metric}{end}"] for end in ("", "_low", "_high")))
            for name, each in candidates.items()
        }
        _bars(intervals, f"{METRIC_LABELS[metric]} on the validation part", _first(intervals), folder / f"{metric}.svg")
    lengths = np.array([len(history) for history in evaluation.task.histories])
    groups = np.array_split(np.argsort(lengths, kind="stable"), PARTS)
    ndcg = evaluation.per_user["ndcg"]
    by_length = {
        f"{lengths[rows].min()} to {lengths[rows].max()} items": bootstrap_interval(np.mean, ndcg[rows])
        for rows in groups
        if len(rows) > 1
    }
    title = f"How well histories of each length are continued: nDCG@{K} of {len(lengths):,} users"
    _bars(by_length, f"nDCG@{K} on the test", title, folder / "history-length.svg")


def _bars(intervals: Mapping[str, Interval], label: str, title: str, path: Path) -> None:
    axis = f"{label} (95 % interval; higher is better)"
    figure = charts.interval_bars(list(intervals), list(intervals.values()), xlabel=axis, title=title)
    figures.save_figure(figure, path)


def _first(intervals: Mapping[str, Interval]) -> str:
    """Return which model is first, and whether its interval lies above that of the next."""
    first, second, *_ = sorted(intervals, key=lambda name: -intervals[name].estimate)
    apart = intervals[first].low > intervals[second].high
    how = "and the intervals do not meet" if apart else "by less than the intervals are wide"
    return f"{first[0].upper()}{first[1:]} is ahead of {second}, {how}"
