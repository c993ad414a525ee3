"""Candidates and test metrics side by side: the same rows for the terminal and for a README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval

Rows = list[list[str]]


@dataclass(frozen=True)
class Column:
    """One column of a table of candidates: the metric's name, its heading, and how its numbers are written."""

    metric: str
    heading: str
    form: str


def candidate_rows(
    candidates: Mapping[str, Mapping[str, float]], columns: Sequence[Column], *, chosen: str = ""
) -> tuple[list[str], Rows]:
    """Return the headings and a row for each candidate, in the order given; the chosen one is bold in Markdown.

    Parameters
    ----------
    candidates
        Name -> metric -> value.

    Examples
    --------
    >>> candidate_rows({"ridge": {"rmsle": 0.1312}}, [Column("rmsle", "RMSLE", ".3f")])
    (['candidate', 'RMSLE'], [['ridge', '0.131']])
    """
    rows = []
    for name, metrics in candidates.items():
        cells = [format(metrics[column.metric], column.form) for column in columns]
        rows.append([f"**{name}**" if name == chosen else name, *cells])
    return ["candidate", *(column.heading for column in columns)], rows


def metric_rows(
    labels: Mapping[str, str],
    metrics: Mapping[str, Interval],
    baselines: Mapping[str, Mapping[str, Interval]],
    *,
    intervals: bool = False,
) -> tuple[list[str], Rows]:
    """Return the headings and a row for each test metric: the chosen model with its interval, the baselines beside it.

    Parameters
    ----------
    intervals
        Whether the baselines have theirs as well: a README has room for them, a terminal has not.

    Examples
    --------
    >>> interval = Interval(0.106, 0.095, 0.117)
    >>> metric_rows({"rmsle": "RMSLE"}, {"rmsle": interval}, {"ridge": {"rmsle": Interval(0.131, 0.103, 0.169)}})
    (['metric', 'chosen model', 'ridge'], [['RMSLE', '0.106 (0.095 to 0.117)', '0.131']])
    """
    rows = []
    for metric, interval in metrics.items():
        others = [with_interval(values[metric]) if metric in values else "" for values in baselines.values()]
        shown = others if intervals else [other.split(" (")[0] for other in others]
        rows.append([labels[metric], with_interval(interval), *shown])
    return ["metric", "chosen model", *baselines], rows


def terminal_table(title: str, headings: Sequence[str], rows: Rows) -> Table:
    """Return rows as a table for the terminal: the first column left-aligned, the others right-aligned."""
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table
