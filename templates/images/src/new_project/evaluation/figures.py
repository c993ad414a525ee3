"""The project's figures, in the house style; each title states what the numbers show."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from new_project.evaluation.evaluate import METRIC_LABELS, Evaluation
from new_project.models.fit import Fitted
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.results import Candidate


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Fitted]], folder: Path) -> None:
    """Write the figures of a training as SVG: candidates on validation, what is served and its failures on the test."""
    accuracies = {
        name: Interval(*(each.metrics[f"accuracy{end}"] for end in ("", "_low", "_high")))
        for name, each in sorted(candidates.items(), key=lambda item: -item[1].metrics["accuracy"])
    }
    first, *others = accuracies
    title = f"{first[0].upper()}{first[1:]} names {_percent(accuracies[first].estimate)} right, "
    title += f"{others[0]} {_percent(accuracies[others[0]].estimate)}"
    _bars(accuracies, "Share named right on the validation part", title, folder / "candidates.svg")
    tested = {METRIC_LABELS[name]: interval for name, interval in evaluation.metrics.items() if name != "log_loss"}
    title = f"{_percent(evaluation.metrics['accuracy'].estimate)} are named right, and "
    title += f"{_percent(evaluation.metrics['unsure'].estimate)} are answered with doubt"
    _bars(tested, f"Served model on {len(evaluation.part):,} pictures of the test", title, folder / "result.svg")
    truth, right = evaluation.part.numbers(evaluation.labels), evaluation.per_picture["accuracy"]
    by_label = {
        label: bootstrap_interval(np.mean, right[truth == number]) for number, label in enumerate(evaluation.labels)
    }
    worst = min(by_label, key=lambda label: by_label[label].estimate)
    title = f"Of {worst}, {_percent(by_label[worst].estimate)} are named right; of all {_percent(float(right.mean()))}"
    if by_label[worst].high >= right.mean():
        title = f"No label is named right less often than others by more than chance; {title[0].lower()}{title[1:]}"
    _bars(by_label, "Share named right on the test, by label", title, folder / "failures.svg")


def _bars(intervals: Mapping[str, Interval], label: str, title: str, path: Path) -> None:
    figure = charts.interval_bars(
        list(intervals), list(intervals.values()), xlabel=f"{label} (95 % interval)", title=title
    )
    figures.save_figure(figure, path)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
