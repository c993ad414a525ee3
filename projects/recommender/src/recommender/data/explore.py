"""What the ratings look like before any model: the figures of the README's section on the data."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from portfolio_shared.evaluation.figures import COLORS, INK, canvas, in_house_style, percent, save_figure
from recommender.data.load import Dataset
from recommender.data.ratings import Ratings

HOUR = 3600.0
SPANS = {"ten minutes": HOUR / 6, "an hour": HOUR, "a day": 24 * HOUR, "30 days": 720 * HOUR, "a year": 8_766 * HOUR}
"""Name of a time to its seconds."""
MARKED = (0.01, 0.1)  # shares of the films, the most popular first
LEAST = 0.002  # of the films: the left end of the axis
LATER = "#B8BCC2"


@dataclass(frozen=True)
class Sittings:
    """How ratings lie in time; a sitting is a run of ratings with less than an hour from one to the next.

    Attributes
    ----------
    spans
        Shape (n_people,): seconds from the first rating of a person to the last.
    films, seconds
        Ratings of the sitting that the median rating belongs to, and median seconds from one to the next in sittings.
    in_one
        Share of the people with all ratings in one sitting.
    """

    spans: NDArray[np.int64]
    films: float
    seconds: float
    in_one: float


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the ratings into a folder, as SVG; returns the files, in the order in which to look at them."""
    drawings: dict[str, Callable[[Ratings], Figure]] = {"sittings": draw_sittings, "popularity": draw_popularity}
    return [save_figure(draw(dataset.ratings), folder / f"{name}.svg") for name, draw in drawings.items()]


def describe(ratings: Ratings) -> dict[str, float]:
    """Return the numbers that the figures show, by name."""
    sittings = find_sittings(ratings)
    return {
        "films": ratings.n_items,
        "within_an_hour": float(np.mean(sittings.spans <= HOUR)),
        "in_one_sitting": sittings.in_one,
        "films_a_sitting": sittings.films,
        "seconds_between": sittings.seconds,
        "rated_once": float(np.mean(_rated(ratings) == 1)),
        **{f"ratings_of_top_{share:g}": share_of_top(ratings, share) for share in MARKED},
    }


def find_sittings(ratings: Ratings) -> Sittings:
    """Cut each person's ratings where an hour or more passes without one."""
    same = ratings.users[1:] == ratings.users[:-1]
    gaps = np.diff(ratings.times)
    within = same & (gaps < HOUR)
    starts = np.concatenate([[True], ~within])
    sitting = np.cumsum(starts) - 1
    films = np.median(np.bincount(sitting)[sitting])
    people = np.unique(ratings.users[starts], return_counts=True)[1]
    offsets = ratings.offsets()
    rated = np.flatnonzero(np.diff(offsets))
    spans = ratings.times[offsets[1:][rated] - 1] - ratings.times[offsets[:-1][rated]]
    return Sittings(spans, float(films), float(np.median(gaps[within])), float(np.mean(people == 1)))


def share_of_top(ratings: Ratings, share: float) -> float:
    """Return the share of all ratings that the most popular films have, `share` of the films that anybody rated."""
    counts = _rated(ratings)
    return float(counts[: max(1, round(share * len(counts)))].sum() / counts.sum())


@in_house_style
def draw_sittings(ratings: Ratings) -> Figure:
    """Draw how many people gave their ratings within ten minutes, an hour, a day, and so on."""
    spans = find_sittings(ratings).spans
    hour = np.mean(spans <= HOUR)
    figure, axes = canvas(height=3.4, title=f"{hour * 100:.0f} % of the people gave all their ratings within an hour")
    edges = np.array([-1.0, *SPANS.values(), np.inf])
    shares = np.histogram(spans, edges)[0] / len(spans)
    times = list(SPANS)
    names = [f"up to {times[0]}", *(f"{first} to {then}" for first, then in pairwise(times))]
    rows = np.arange(len(shares))
    axes.barh(rows, shares, height=0.62, color=[COLORS[0] if end <= HOUR else LATER for end in edges[1:]])
    for row, share in zip(rows, shares, strict=True):
        axes.annotate(f"{share * 100:.0f} %", (share, row), (6, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(rows, [*names, f"more than {times[-1]}"])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="Share of the people", ylabel="From the first rating to the last")
    percent(axes.xaxis)
    return figure


@in_house_style
def draw_popularity(ratings: Ratings) -> Figure:
    """Draw which share of the ratings the most popular films have."""
    counts = _rated(ratings)
    x = np.arange(1, len(counts) + 1) / len(counts)
    y = np.cumsum(counts) / counts.sum()
    title = f"One film in ten gets {share_of_top(ratings, MARKED[-1]) * 100:.0f} % of all ratings"
    figure, axes = canvas(height=3.6, title=title)
    axes.plot(x, y, color=COLORS[0])
    for share in MARKED:
        reached = share_of_top(ratings, share)
        axes.plot([share, share, LEAST], [0, reached, reached], color=INK, linewidth=1, linestyle=":")
        text = f"{share * 100:.0f} % of the films:\n{reached * 100:.0f} % of the ratings"
        axes.annotate(text, (share, reached), (8, -6), textcoords="offset points", va="top", color=INK)
    axes.set_xscale("log")
    axes.set_xticks([0.003, 0.01, 0.03, 0.1, 0.3, 1])
    axes.minorticks_off()
    axes.set(xlim=(LEAST, 1.02), ylim=(0, 1.02), xlabel="Share of the films, the most popular first (log axis)")
    axes.set_ylabel("Share of the ratings")
    percent(axes.xaxis)
    percent(axes.yaxis)
    return figure


def _rated(ratings: Ratings) -> NDArray[np.int64]:
    """Return how many people rated each film that anybody rated, the most popular first."""
    counts = np.sort(ratings.item_counts())[::-1]
    return counts[counts > 0]
