"""The project's figures, in the house style; each title states what the numbers show."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from new_project.config import K
from new_project.evaluation.errors import by_length
from new_project.evaluation.evaluate import METRIC_LABELS, Evaluation
from new_project.models.fit import Fitted
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.results import Candidate


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Fitted]], folder: Path) -> None:
    """Write the figures of a training as SVG: candidates on validation, what is served and its failures on the test."""
    compared = {
        name: Interval(*(each.metrics[f"ndcg{end}"] for end in ("", "_low", "_high")))
        for name, each in candidates.items()
    }
    _bars(compared, f"nDCG@{K} on the validation part", _first(compared), folder / "candidates.svg")
    title = f"{_percent(evaluation.metrics['hit_rate'].estimate)} of the users get at least one hit in {K} places"
    title += f"; a list names {_percent(evaluation.metrics['recall'].estimate)} of what they chose next"
    tested = {METRIC_LABELS[name]: interval for name, interval in evaluation.metrics.items()}
    _bars(tested, "Served model on the test", title, folder / "result.svg")
    ndcg = evaluation.per_user["ndcg"]
    groups = {
        f"{name} items": bootstrap_interval(np.mean, ndcg[rows])
        for name, rows in by_length(evaluation).items()
        if len(rows) > 1
    }
    worst = min(groups, key=lambda name: groups[name].estimate)
    title = f"Histories of {worst} are continued worst: nDCG@{K} {groups[worst].estimate:.2f} against {ndcg.mean():.2f}"
    if groups[worst].high >= ndcg.mean():
        title = (
            f"Histories of no length are continued worse than others by more than chance: nDCG@{K} {ndcg.mean():.2f}"
        )
    _bars(groups, f"nDCG@{K} on the test, by length of the history", title, folder / "failures.svg")


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
