"""The project's figures, in the house style; each title states what the numbers in it say."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from housing.config import COVERAGE
from housing.data.explore import log_prices
from housing.data.load import LARGE
from housing.evaluation.candidates import BLEND, LINEAR, TREES, differences
from housing.evaluation.errors import EXPENSIVE, by_group
from housing.evaluation.evaluate import Evaluation
from housing.models.fit import OutOfFold
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.figures import COLORS, INK, MUTED, canvas, in_dollars, in_house_style, percent
from portfolio_shared.evaluation.uncertainty import wilson_interval
from portfolio_shared.results import Candidate

Floats = NDArray[np.float64]

COLOR_OF = {
    BLEND: COLORS[0],
    LINEAR: COLORS[2],
    TREES: COLORS[1],
    "ridge": COLORS[5],
    "LightGBM": COLORS[4],
    "random forest": COLORS[3],
}
"""Each model has one color in all figures; the others are gray."""

FAR = 20_000
"""Dollars of mean error beyond the served model's, above which a candidate is left out of the figure."""


def draw(evaluation: Evaluation, candidates: Mapping[str, Candidate[OutOfFold]], folder: Path) -> None:
    """Write the figures as SVG."""
    drawn = {
        "candidates": draw_candidates(candidates),
        "predicted-actual": draw_prices(evaluation),
        "residuals": draw_residuals(evaluation),
        "coverage": draw_coverage(evaluation),
        "calibration": draw_calibration(evaluation),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


@in_house_style
def draw_candidates(candidates: Mapping[str, Candidate[OutOfFold]]) -> Figure:
    """Draw by how many dollars each model's mean error lies above that of the best that can be served, paired."""
    chosen = next(name for name, candidate in candidates.items() if candidate.servable)
    apart = {name: metrics["mae"] for name, metrics in differences(candidates, chosen).items()}
    near = {name: apart[name] for name in sorted(apart, key=lambda name: apart[name].estimate)}
    near = {name: interval for name, interval in near.items() if interval.estimate < FAR}
    above, others = sum(interval.low > 0 for interval in apart.values()), f"{len(apart)} other models"
    least, most = (in_dollars(end(each.estimate for each in apart.values())) for end in (min, max))
    who = f"Each of {others} errs" if above == len(apart) else f"{above} of {others} err"
    title = f"{who} more than the {chosen} by more than chance: by {least} to {most} a house"
    figure, axes = canvas(height=1.3 + 0.36 * len(near), title=title)
    for row, (name, (estimate, low, high)) in enumerate(near.items()):
        color = COLOR_OF.get(name, MUTED)
        axes.hlines(row, low, high, color=color, linewidth=2.5)
        axes.plot(estimate, row, "o", color=color, markersize=7)
        axes.annotate(f"+${estimate:,.0f}", (1.02, row), xycoords=("axes fraction", "data"), va="center")
    axes.axvline(0, color=COLOR_OF.get(chosen, INK), linewidth=2)
    axes.annotate(chosen, (0, 1.01), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=INK)
    axes.set_yticks(range(len(near)), list(near))
    axes.set_ylim(len(near) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"Dollars more than the {chosen} (MAE on five folds): paired, 95 % interval")
    figures.dollars(axes.xaxis)
    return figure


@in_house_style
def draw_prices(evaluation: Evaluation) -> Figure:
    """Draw predicted against paid prices on log axes, with the most expensive and the largest houses marked."""
    paid, predicted = evaluation.sales.prices, evaluation.predicted
    expensive, large = paid > EXPENSIVE, evaluation.sales.frame["gr_liv_area"].to_numpy() > LARGE
    low = int(np.sum(predicted[expensive] < paid[expensive]))
    title = (
        f"Prices are close to what was paid, but {low} of the {expensive.sum()} houses above "
        f"{in_dollars(EXPENSIVE)} are priced too low"
    )
    figure, axes = canvas(width=6.3, height=6.2, title=title)
    ends = np.array([0.9 * min(paid.min(), predicted.min()), 1.1 * max(paid.max(), predicted.max())])
    axes.plot(ends, ends, color=INK, linewidth=1, zorder=3)
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color=MUTED, alpha=0.12, linewidth=0, label="within 10 %")
    axes.set(xscale="log", yscale="log")
    log_prices(axes.xaxis)
    log_prices(axes.yaxis)
    axes.scatter(paid, predicted, s=12, color=COLOR_OF[BLEND], alpha=0.45, linewidths=0)
    marked = {f"above {in_dollars(EXPENSIVE)}": (expensive, "s", COLORS[4])}
    if large.any():
        marked[f"over {LARGE:,} square feet"] = (large & ~expensive, "D", COLORS[1])
    for name, (rows, marker, color) in marked.items():
        axes.plot(paid[rows], predicted[rows], marker, color=color, markersize=6, label=name)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="Paid (dollars, log axis)", ylabel="Predicted (dollars)")
    axes.legend(frameon=False, loc="upper left")
    axes.text(0.96, 0.05, "priced too low", transform=axes.transAxes, ha="right", color=MUTED)
    return figure


@in_house_style
def draw_residuals(evaluation: Evaluation) -> Figure:
    """Draw errors in percent of the price paid against predicted prices, with the middle 80 % of ten groups."""
    paid, predicted = evaluation.sales.prices, evaluation.predicted
    error = predicted / paid - 1
    groups = np.array_split(np.argsort(predicted, kind="stable"), min(10, max(1, len(paid) // 5)))
    center = np.array([np.median(predicted[group]) for group in groups])
    low, middle, high = np.array([np.quantile(error[group], [0.1, 0.5, 0.9]) for group in groups]).T
    best, worst = ((high - low).argmin(), (high - low).argmax())
    title = (
        f"80 % of the errors lie between {low[best]:.0%} and {high[best]:+.0%} for houses of about "
        f"{in_dollars(center[best])}, and between {low[worst]:.0%} and {high[worst]:+.0%} for those of "
        f"{in_dollars(center[worst])}"
    )
    figure, axes = canvas(height=4.4, title=spaced(title))
    axes.scatter(predicted, error, s=12, color=COLOR_OF[BLEND], alpha=0.4, linewidths=0)
    axes.axhline(0, color=INK, linewidth=1)
    axes.fill_between(center, low, high, color=COLORS[1], alpha=0.3, linewidth=0, label="80 % of a tenth of the houses")
    axes.plot(center, middle, color=COLORS[4], label="median error")
    axes.set(xlabel="Predicted price (dollars, log axis)", ylabel="Error in % of the price paid (above 0: too high)")
    axes.set_xscale("log")
    log_prices(axes.xaxis)
    percent(axes.yaxis)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def draw_coverage(evaluation: Evaluation) -> Figure:
    """Draw the share of prices inside their interval, by fifth of the price paid."""
    fifths = [group for group in by_group(evaluation) if group.by == "price quintile"]
    ends, inner = (_range(each.coverage for each in part) for part in ((fifths[0], fifths[-1]), fifths[1:-1]))
    title = f"{COVERAGE:.0%} intervals hold {ends} at the two ends of the price range, and {inner} between"
    low, high = wilson_interval(*np.array([(each.coverage, each.houses) for each in fifths]).T)
    off = int(np.sum((low > COVERAGE) | (high < COVERAGE)))
    title += f"; {off or 'no'} fifth{' is' if off <= 1 else 's are'} off by more than chance"
    return charts.coverage_bars(
        [group.name for group in fifths],
        [group.coverage for group in fifths],
        nominal=COVERAGE,
        counts=[group.houses for group in fifths],
        title=spaced(title),
    )


@in_house_style
def draw_calibration(evaluation: Evaluation) -> Figure:
    """Draw measured against nominal coverage of the intervals at several levels."""
    nominal = np.array(list(evaluation.calibration))
    measured = np.array(list(evaluation.calibration.values()))
    error = 1.96 * np.sqrt(measured * (1 - measured) / len(evaluation.sales.prices))
    worst = int((measured - nominal).argmin())
    title = (
        f"Intervals hold a little less than they say: {measured[worst]:.0%} at {nominal[worst]:.0%}, "
        f"and {evaluation.calibration[COVERAGE]:.0%} at the {COVERAGE:.0%} that are served"
    )
    figure, axes = canvas(width=6.3, height=4.6, title=spaced(title))
    axes.plot(nominal, nominal, color=INK, linewidth=1)
    axes.errorbar(nominal, measured, error, fmt="o", color=COLOR_OF[BLEND], markersize=7, capsize=0, linewidth=2)
    axes.annotate(
        "as promised", (nominal[-2], nominal[-2]), (-8, 8), textcoords="offset points", ha="right", color=MUTED
    )
    axes.set(xlabel="Share that the intervals promise", ylabel="Share of test prices inside, 95 % interval")
    percent(axes.xaxis)
    percent(axes.yaxis)
    return figure


def _range(shares: Iterable[float]) -> str:
    """Return the lowest and the highest share, or the one they are both rounded to."""
    values = sorted(shares)
    low, high = f"{values[0]:.0%}", f"{values[-1]:.0%}"
    return low if low == high else f"{low} to {high}"


def spaced(title: str) -> str:
    """Write percent with a space at which no line breaks, and the minus that is one."""
    return re.sub(r" ?%", "\N{NO-BREAK SPACE}%", title).replace(" -", f" {figures.MINUS}")
