"""What reading, storing and training cost from a million ratings on, how that grows, and what the lists are worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from portfolio_shared.evaluation import figures
from portfolio_shared.evaluation.sections import interval_cell, markdown_table
from recommender.evaluation.tables import three
from recommender.models.fit import FULL, POPULARITY

Recorded = Mapping[str, Any]
STEPS = {
    "generate": "generate",
    "read": "read all into memory",
    "etl": "ETL with DuckDB",
    "sum": "sum the Gram matrices",
    "train": "train from the sums",
    "als": "ALS of MLlib, Spark's start included",
}
"""Step of the benchmark, in their order -> what tables call it."""
DRAWN = ("read", "etl", "sum", "train")
MEASURES = {"seconds": "seconds", "cpu_seconds": "CPU seconds", "peak_rss_mb": "peak memory, MB"}
GROWS_FROM = 10_000_000
"""Below so many ratings, what a process costs before it has read any is a good part of its time."""
BILLION = 1_000_000_000


def scale_table(recorded: Recorded) -> str:
    """Return what each step costs at each size."""
    rows = [
        [label, _millions(size["ratings"]), *(f"{size['steps'][step][measure]:,.0f}" for measure in MEASURES)]
        for step, label in STEPS.items()
        for size in recorded["sizes"]
        if step in size["steps"]
    ]
    return markdown_table([f"{recorded['machine']}", "ratings", *MEASURES.values()], rows)


def growth_table(recorded: Recorded) -> str:
    """Return with which power of the ratings time and memory grow, and what a billion takes if it goes on so."""
    rows = []
    for step, label in STEPS.items():
        cells = [label]
        for measure in ("seconds", "peak_rss_mb"):
            sizes, costs = _costs(recorded, step, measure)
            if len(sizes) < 2:
                break
            power = growth(sizes, costs)
            cells += [f"{power:.2f}", _large(costs[-1] * (BILLION / sizes[-1]) ** max(power, 0.0), measure)]
        else:
            rows.append(cells)
    headings = ["step", "time: power", "of a billion", "memory: power", "of a billion"]
    return markdown_table(headings, rows)


def quality_table(recorded: Recorded) -> str:
    """Return how good the lists are at each size, on the same people for all models of a size."""
    names = list(dict.fromkeys(name for size in recorded["sizes"] for name in size["ndcg"]))
    rows = [
        [
            _millions(size["ratings"]),
            f"{size['people']:,}",
            *(interval_cell(size["ndcg"][name]) if name in size["ndcg"] else "" for name in names),
        ]
        for size in recorded["sizes"]
    ]
    title = f"nDCG@{recorded['k']} of {recorded['users_measured']:,} people"
    return markdown_table([f"ratings: {title}", "people", *names], rows)


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the power p of ``cost ~ size ** p``, by least squares of the logarithms.

    Examples
    --------
    >>> round(growth([1, 10, 100], [3, 30, 300]), 6), round(growth([1, 4], [5, 10]), 6)
    (1.0, 0.5)
    """
    power, _ = np.polyfit(np.log(sizes), np.log(costs), 1)
    return float(power)


@figures.in_house_style
def draw_scale(recorded: Recorded) -> Figure:
    """Draw time and memory of the steps over the number of ratings, both on logarithmic axes."""
    largest = _millions(recorded["sizes"][-1]["ratings"])
    title = f"Time and memory of each step, up to {largest} ratings"
    figure, panels = figures.canvases(2, height=3.6, title=title)
    for axes, (measure, label) in zip(
        panels, {"seconds": "seconds", "peak_rss_mb": "MB of memory"}.items(), strict=True
    ):
        for number, step in enumerate(DRAWN):
            pairs = [(size["ratings"], size["steps"][step][measure]) for size in recorded["sizes"]]
            axes.plot(
                *zip(*pairs, strict=True),
                color=figures.COLORS[number],
                marker=figures.MARKERS[number],
                linestyle=figures.DASHES[number],
                label=STEPS[step],
            )
        axes.set(xscale="log", yscale="log", xlabel="ratings")
        axes.set_title(label, loc="left", fontsize=10)
    panels[0].legend(frameon=False, fontsize=8.5)
    return figure


def numbers(recorded: Recorded) -> dict[str, str]:
    """Return the numbers that prose names, all of the largest size."""
    size = recorded["sizes"][-1]
    costs = size["steps"]
    found = {
        "scale_ratings": _millions(size["ratings"]),
        "scale_people": f"{size['people']:,}",
        "scale_films": f"{size['films']:,}",
        "scale_measured": f"{recorded['users_measured']:,}",
        "scale_ndcg": three(size["ndcg"][FULL]),
        "scale_popular": three(size["ndcg"][POPULARITY]),
    }
    for step in DRAWN:
        found[f"scale_{step}_seconds"] = f"{costs[step]['seconds']:,.0f}"
        found[f"scale_{step}_cpu"] = f"{costs[step]['cpu_seconds']:,.0f}"
        found[f"scale_{step}_memory"] = f"{costs[step]['peak_rss_mb']:,.0f}"
    return {
        **found,
        "scale_source": _bytes(size["source_mb"]),
        "scale_stored": _bytes(size["stored_mb"]),
    }


def _costs(recorded: Recorded, step: str, measure: str) -> tuple[list[float], list[float]]:
    pairs = [
        (size["ratings"], size["steps"][step][measure])
        for size in recorded["sizes"]
        if step in size["steps"] and size["ratings"] >= GROWS_FROM
    ]
    return [size for size, _ in pairs], [cost for _, cost in pairs]


def _millions(ratings: float) -> str:
    return f"{ratings / 1e6:,.0f} million"


def _bytes(megabytes: float) -> str:
    return f"{megabytes:,.0f} MB" if megabytes < 1_000 else f"{megabytes / 1e3:.1f} GB"


def _large(cost: float, measure: str) -> str:
    return f"{cost / 3600:.1f} hours" if measure == "seconds" else _bytes(cost)
