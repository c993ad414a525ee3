"""The project's figures, in the house style."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.ranking import EMPTY, ndcg_at_k
from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from portfolio_shared.results import Candidate
from recommender.evaluation.cold_start import ColdStart
from recommender.evaluation.diversity import DiversityPoint
from recommender.evaluation.evaluate import Evaluation
from recommender.evaluation.task import Floats, Task, judge_lists
from recommender.models.fit import ALS, EASE, ITEMS, POPULARITY, USERS, Scorer

Band = tuple[Floats, Floats, Floats]
"""A line and what lies below and above it: mean, low, high, each of one shape."""

LENGTHS = (1, 2, 3, 5, 10, 20, 35, 50)
TAIL = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
"""Shares of the films, the most popular first."""
SERVED = "served model"
BY_LENGTH = (SERVED, EASE, ALS, ITEMS, USERS, POPULARITY)
"""No more than can be distinguished by color."""
BY_TAIL = (SERVED, EASE, POPULARITY)
"""Models whose curves lie apart."""


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Scorer]], folder: Path) -> None:
    """Write the figures of a training as SVG: candidates on validation, the served model and baselines on the test."""
    measured, task, k = {SERVED: evaluation, **evaluation.baselines}, evaluation.task, evaluation.k
    ndcg = [
        Interval(*(candidate.metrics[name] for name in ("ndcg", "ndcg_low", "ndcg_high")))
        for candidate in candidates.values()
    ]
    drawn = {
        "candidates": charts.interval_bars(
            list(candidates),
            ndcg,
            xlabel=f"nDCG@{k} on validation (95 % interval; higher is better)",
            title="Candidates",
        ),
        "ndcg-by-length": charts.line_with_band(
            LENGTHS,
            {name: ndcg_by_length(measured[name]) for name in BY_LENGTH if name in measured},
            xlabel="Length of the list, k",
            ylabel="nDCG@k on the test",
            title="Quality by length of the list",
        ),
        "long-tail": charts.line_with_band(
            TAIL,
            {
                "what people rate": _exact(rated_tail(task)),
                **{name: _exact(tail(measured[name])) for name in BY_TAIL if name in measured},
            },
            xlabel="Share of the films that is left out, the most popular first",
            ylabel="Share of ratings or recommendations",
            title="How much lies beyond the most popular films",
        ),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


def draw_diversity(points: Sequence[DiversityPoint], k: int) -> Figure:
    """Draw quality, and the share of films that is recommended, against the option `diversity`."""
    coverage = np.array([point.coverage for point in points])
    return charts.line_with_band(
        [point.diversity for point in points],
        {f"nDCG@{k}": _band([point.ndcg for point in points]), "share of films recommended": _exact(coverage)},
        xlabel="Diversity knob",
        ylabel="nDCG, and share of all films",
        title="Accuracy and coverage as the diversity knob turns",
    )


def draw_cold_start(starts: Sequence[ColdStart], k: int) -> Figure:
    """Draw quality against the length of a history, for people the model has never seen."""
    return charts.line_with_band(
        [start.films for start in starts],
        {SERVED: _band([start.ndcg for start in starts]), POPULARITY: _band([start.popularity for start in starts])},
        xlabel="Films in the history of somebody who was not in the training data",
        ylabel=f"nDCG@{k}",
        title="A handful of films is enough to beat popularity",
    )


@figures.in_house_style
def draw_reliability(measured: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw what was watched against the chance that was stated, by what is known of a person, with 95 % intervals."""
    figure, axes = figures.canvas(height=4.6, width=6.2, title="The chance that is stated, and what people watched")
    top = max(end for each in measured for bin_ in each["bins"] for end in bin_)
    axes.plot([0, top], [0, top], color=figures.MUTED, linestyle="--", linewidth=1)
    for i, each in enumerate(measured):
        chance, watched, low, high = np.array(each["bins"]).T
        axes.vlines(chance, low, high, color=figures.COLORS[i], linewidth=1)
        axes.plot(chance, watched, figures.MARKERS[i], color=figures.COLORS[i], markersize=6, label=each["histories"])
    axes.set(xlabel="Chance, mean of a tenth of the recommendations", ylabel="Share that was watched")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.legend(frameon=False, loc="upper left", title="Known of a person", alignment="left")
    return figure


def ndcg_by_length(evaluation: Evaluation) -> Band:
    """Return the mean nDCG at each of `LENGTHS`, with the ends of its interval; shape (n_lengths,) each."""
    judged = judge_lists(evaluation.lists, evaluation.task.users, evaluation.task.hidden)
    return _band([bootstrap_interval(np.mean, ndcg_at_k(judged, length), n_resamples=300) for length in LENGTHS])


def tail(evaluation: Evaluation) -> Floats:
    """Return the share of recommendations beyond each share of the films in `TAIL`, shape (n_shares,)."""
    first = evaluation.lists[:, : evaluation.k]
    return _beyond(np.bincount(first[first != EMPTY], minlength=len(evaluation.task.catalogue)), evaluation.task)


def rated_tail(task: Task) -> Floats:
    """Return the share of ratings beyond each share of the films in `TAIL`, shape (n_shares,)."""
    return _beyond(task.before.item_counts(), task)


def _beyond(counts: NDArray[np.int64], task: Task) -> Floats:
    by_popularity = np.argsort(-task.before.item_counts(), kind="stable")
    total = np.concatenate([[0.0], np.cumsum(counts[by_popularity]) / counts.sum()])
    return np.asarray(1.0 - np.interp(np.array(TAIL) * len(counts), np.arange(len(counts) + 1), total))


def _band(intervals: Sequence[Interval]) -> Band:
    estimate, low, high = np.array(intervals).T
    return estimate, low, high


def _exact(values: Floats) -> Band:
    return values, values, values
