"""The figures of a training and of its test, in the house style; each title states what was found, from the numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.ranking import EMPTY
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.results import Candidate
from recommender.evaluation.cold_start import ColdStart
from recommender.evaluation.diversity import DiversityPoint
from recommender.evaluation.evaluate import Evaluation
from recommender.evaluation.task import Floats, Task
from recommender.models.fit import ALS, ALS_RECENT, EASE, FULL, ITEMS, POPULARITY, USERS, Scorer

SERVED, RATED = "served model", "what people rate"
COLOR_OF = {
    **dict.fromkeys((SERVED, FULL), figures.COLORS[0]),
    **dict.fromkeys((ALS, ALS_RECENT), figures.COLORS[4]),
    EASE: figures.COLORS[3],
    ITEMS: figures.COLORS[2],
    USERS: figures.COLORS[5],
    POPULARITY: figures.COLORS[1],
    RATED: figures.MUTED,
}
"""Each model has one color in all figures."""

Band = tuple[Floats, Floats, Floats]
"""A line and what lies below and above it: mean, low, high, each of one shape."""

TAIL = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
"""Shares of the films, the most popular first."""
BY_TAIL = (SERVED, EASE, POPULARITY)
"""Models whose curves lie apart."""


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[Scorer]], folder: Path) -> None:
    """Write the figures of a training as SVG: candidates on validation, the served model and baselines on the test."""
    measured = {SERVED: evaluation, **evaluation.baselines}
    scores = {name: _ndcg(candidate.metrics) for name, candidate in candidates.items()}
    tails = {RATED: rated_tail(evaluation.task), **{name: tail(measured[name]) for name in BY_TAIL if name in measured}}
    figures.save_figure(draw_candidates(scores, evaluation.k), folder / "candidates.svg")
    figures.save_figure(draw_tails(tails), folder / "long-tail.svg")


def draw_candidates(scores: Mapping[str, Interval], k: int) -> Figure:
    """Draw the quality of each candidate on the validation part, the best first."""
    (first, best), (second, next_best), *_ = sorted(scores.items(), key=lambda item: -item[1].estimate)
    title = f"{first} leads on validation: {best.estimate:.3f}, the next ({second}) {next_best.estimate:.3f}"
    return charts.interval_bars(
        list(scores),
        list(scores.values()),
        xlabel=f"nDCG@{k} on validation (95 % interval; higher is better)",
        title=title,
        color_of=COLOR_OF,
    )


def draw_tails(tails: Mapping[str, Floats]) -> Figure:
    """Draw how much of the ratings, and of each model's recommendations, lies beyond the most popular films."""
    rated, served = (f"{tails[name][-1] * 100:.0f} %" for name in (RATED, SERVED))
    title = (
        f"{rated} of what people rate lies beyond the {TAIL[-1] * 100:.0f} % of films that most people rated, "
        f"and {served} of what is recommended"
    )
    figure = charts.line_with_band(
        TAIL,
        {name: _exact(shares) for name, shares in tails.items()},
        xlabel="Share of the films that is left out, the most popular first",
        ylabel="Share of ratings or recommendations",
        title=title,
        color_of=COLOR_OF,
    )
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        figures.percent(axis)
    return figure


@figures.in_house_style
def draw_diversity(points: Sequence[DiversityPoint], k: int) -> Figure:
    """Draw quality against the diversity of the lists, with the values of the option `diversity` at the points."""
    free = free_diversity(points)
    title = f"Up to a setting of {free:g}, lists become more varied at no cost that could be measured"
    figure, axes = figures.canvas(height=4.2, title=title)
    x, y = ([getattr(point, name).estimate for point in points] for name in ("intra_list", "ndcg"))
    low, high = ([getattr(point.ndcg, end) for point in points] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=COLOR_OF[SERVED], alpha=0.15, linewidth=0)
    axes.plot(x, y, color=COLOR_OF[SERVED], marker="o", markersize=6)
    for point, across, up in zip(points, x, y, strict=True):
        axes.annotate(f"{point.diversity:g}", (across, up), (0, 8), textcoords="offset points", ha="center")
    axes.set(xlabel="Diversity of genres in a list (0: all alike, 1: nothing in common)")
    axes.set(ylabel=f"nDCG@{k} on the test", ylim=(0, 1.15 * max(high)))
    axes.text(
        0.02, 0.04, "numbers at the points: the setting `diversity`", transform=axes.transAxes, color=figures.MUTED
    )
    return figure


def free_diversity(points: Sequence[DiversityPoint]) -> float:
    """Return the largest setting up to which no nDCG, to three decimals, is below that of the first."""
    free = points[0].diversity
    for point in points:
        if round(point.ndcg.estimate, 3) < round(points[0].ndcg.estimate, 3):
            break
        free = point.diversity
    return free


@figures.in_house_style
def draw_cold_start(starts: Sequence[ColdStart], k: int) -> Figure:
    """Draw quality against the length of a history, for people the model has never seen; hollow: by chance, perhaps."""
    enough = certain_from(starts)
    title = f"From {enough} films on, lists beat popular films beyond chance" if enough else "No gain beyond chance"
    bands = {SERVED: _band([start.ndcg for start in starts]), POPULARITY: _band([start.popularity for start in starts])}
    figure = charts.line_with_band(
        [start.films for start in starts],
        bands,
        xlabel="Films in the history of somebody who was not in the training data (log axis)",
        ylabel=f"nDCG@{k} on the test",
        title=title,
        color_of=COLOR_OF,
        logx=True,
    )
    unsure = [start for start in starts if start.difference.low <= 0]
    at, means = [start.films for start in unsure], [start.ndcg.estimate for start in unsure]
    color = COLOR_OF[SERVED]
    figure.axes[0].plot(at, means, "o", markersize=8, markeredgecolor=color, markerfacecolor="white", linestyle="none")
    return figure


def certain_from(starts: Sequence[ColdStart]) -> int:
    """Return the number of films from which on every difference to popular films is above zero; 0 for none."""
    certain = 0
    for start in reversed(starts):
        if start.difference.low <= 0:
            break
        certain = start.films
    return certain


@figures.in_house_style
def draw_reliability(measured: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw what was watched against the chance that was stated, by what is known of a person, with 95 % intervals."""
    whole = measured[0]
    promised, kept = (f"{whole[name] * 100:.1f} %" for name in ("chance", "watched"))
    title = f"For whole histories a chance of {promised} was stated, and {kept} was watched"
    figure, axes = figures.canvas(height=4.8, width=6.6, title=title)
    top = max(end for each in measured for bin_ in each["bins"] for end in bin_)
    axes.plot([0, top], [0, top], color=figures.MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "as stated", (0.78 * top, 0.78 * top), (-6, 8), textcoords="offset points", ha="right", color=figures.MUTED
    )
    known = (COLOR_OF[SERVED], COLOR_OF[RATED], COLOR_OF[POPULARITY])
    for each, color, marker in zip(measured, known, figures.MARKERS, strict=False):
        chance, watched, low, high = np.array(each["bins"]).T
        axes.vlines(chance, low, high, color=color, linewidth=1)
        axes.plot(chance, watched, marker, color=color, markersize=6, label=each["histories"])
    axes.set(xlabel="Chance that was stated, mean of a tenth of the recommendations", ylabel="Share that was watched")
    axes.set(xlim=(-0.02 * top, 1.04 * top), ylim=(-0.02 * top, 1.04 * top))
    for axis in (axes.xaxis, axes.yaxis):
        figures.percent(axis)
    axes.legend(frameon=False, loc="upper left", title="What is known of a person", alignment="left")
    return figure


def tail(evaluation: Evaluation) -> Floats:
    """Return the share of recommendations beyond each share of the films in `TAIL`, shape (n_shares,)."""
    first = evaluation.lists[:, : evaluation.k]
    return _beyond(np.bincount(first[first != EMPTY], minlength=len(evaluation.task.catalogue)), evaluation.task)


def rated_tail(task: Task) -> Floats:
    """Return the share of ratings beyond each share of the films in `TAIL`, shape (n_shares,)."""
    return _beyond(task.catalogue.n_ratings, task)


def _beyond(counts: NDArray[np.int64], task: Task) -> Floats:
    by_popularity = np.argsort(-task.catalogue.n_ratings, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(counts[by_popularity]) / counts.sum()])
    return np.asarray(1.0 - np.interp(np.array(TAIL) * len(counts), np.arange(len(counts) + 1), total))


def _ndcg(metrics: Mapping[str, float]) -> Interval:
    return Interval(*(metrics[name] for name in ("ndcg", "ndcg_low", "ndcg_high")))


def _band(intervals: Sequence[Interval]) -> Band:
    estimate, low, high = np.array(intervals).T
    return estimate, low, high


def _exact(values: Floats) -> Band:
    return values, values, values
