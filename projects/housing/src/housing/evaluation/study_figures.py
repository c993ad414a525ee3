"""The figures of what only the report measures: staircase, bias and variance, learning curve, neighborhoods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from housing.evaluation.candidates import BLEND
from housing.evaluation.fairness import THIRDS
from housing.evaluation.figures import COLOR_OF, spaced
from housing.evaluation.learning_curve import HELD_OUT, TRAINING
from portfolio_shared.evaluation import charts, figures
from portfolio_shared.evaluation.figures import COLORS, INK, MUTED, canvas, in_dollars, in_house_style, percent
from portfolio_shared.evaluation.staircase import staircase

Stored = Mapping[str, Any]
LEAK = "naive neighborhood means"


def draw_studies(recorded: Stored, folder: Path) -> None:
    """Write the figures as SVG, from what was recorded."""
    drawn = {
        "staircase": draw_staircase(steps(recorded)),
        "bias-variance": draw_bias_and_variance(recorded["bias_variance"]),
        "learning-curve": draw_learning_curve(recorded["learning_curve"]),
        "areas": draw_areas(recorded["areas"]),
    }
    for name, figure in drawn.items():
        figures.save_figure(figure, folder / f"{name}.svg")


def steps(recorded: Stored) -> dict[str, float]:
    """Return the mean error in dollars after each step from always the same price to the served model."""
    thumb = {
        name: recorded["candidates"][name]["mae_mean"] for name in ("median", "neighborhood's price per square foot")
    }
    return thumb | {step["name"]: step["mae"] for step in recorded["ablation"] if "trees" not in step["name"]}


def draw_staircase(reached: Mapping[str, float]) -> Figure:
    """Draw what each step brings, in dollars of mean error."""
    values = list(reached.values())
    title = (
        f"From {in_dollars(values[0])} to {in_dollars(values[-1])} of mean error on folds: place and size bring most, "
        f"a plain ridge {in_dollars(values[1] - values[2])} more, all the rest {in_dollars(values[2] - values[-1])}"
    )
    return staircase(
        list(reached),
        values,
        xlabel="Mean absolute error on five folds of the training part (dollars, log axis)",
        form=lambda amount: f"${amount:,.0f}",
        title=title,
        color_of={name: COLOR_OF[BLEND] if BLEND in name else MUTED for name in reached},
        log=True,
    )


@in_house_style
def draw_bias_and_variance(spreads: Sequence[Stored]) -> Figure:
    """Draw the two parts of each model's squared error, the smallest sum on top."""
    rows = sorted(spreads, key=lambda each: each["bias"]["estimate"] + each["variance"]["estimate"])
    share = {
        row["name"]: row["variance"]["estimate"] / (row["bias"]["estimate"] + row["variance"]["estimate"])
        for row in rows
    }
    jumpiest = max(share, key=lambda name: share[name])
    title = (
        f"Taught by other houses, {jumpiest} says something else: {share[jumpiest]:.0%} of its error is variance. "
        f"Of the {BLEND}'s it is {share[BLEND]:.0%}"
    )
    figure, axes = canvas(height=1.6 + 0.4 * len(rows), title=spaced(title))
    for i, row in enumerate(rows):
        bias, variance = (1e4 * row[part]["estimate"] for part in ("bias", "variance"))
        color = COLOR_OF.get(row["name"], MUTED)
        axes.barh(i, bias, height=0.6, color=color, label=None)
        axes.barh(i, variance, left=bias, height=0.6, color=color, alpha=0.35)
        text = f"{bias:.0f} + {variance:.0f}"
        axes.annotate(text, (bias + variance, i), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel("Squared error, in squared % of the price: bias and noise (solid) + variance (pale)")
    axes.xaxis.set_label_coords(0.35, -0.09)
    return figure


def draw_learning_curve(curve: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw errors on new houses and on those learned from, with one standard error of the folds' mean."""
    series = {}
    for name in (HELD_OUT, TRAINING):
        errors = 100 * np.array([values[name] for values in curve.values()])
        mean, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
        series[name] = (mean, mean - spread, mean + spread)
    sizes, held_out, training = list(map(int, curve)), series[HELD_OUT][0], series[TRAINING][0]
    title = (
        f"Learning from {sizes[-1]:,} instead of {sizes[-2]:,} houses brings {held_out[-2] - held_out[-1]:.2f} points: "
        f"more of the same would help little. Known houses are priced {held_out[-1] - training[-1]:.1f} points better"
    )
    return charts.line_with_band(
        sizes,
        series,
        xlabel="Houses to learn from",
        ylabel="RMSLE in %, and its standard error over folds",
        title=title,
    )


@in_house_style
def draw_areas(areas: Sequence[Stored]) -> Figure:
    """Draw the mean error in thirds of the town, and in each neighborhood with enough houses; above 0 is too high."""
    thirds = [area for area in areas if area["name"] in THIRDS]
    single = sorted((area for area in areas if area not in thirds), key=lambda area: -area["mean_error"]["estimate"])
    rows = [*thirds, *single]
    off = [area["mean_error"]["low"] > 0 or area["mean_error"]["high"] < 0 for area in rows]
    cheap = thirds[0]["mean_error"]["estimate"]
    title = (
        f"Houses in cheap neighborhoods are priced {abs(cheap):.1%} too {'high' if cheap > 0 else 'low'} on average; "
        f"{sum(off[len(thirds) :])} of {len(single)} neighborhoods alone are off by more than chance"
    )
    figure, axes = canvas(height=1.3 + 0.22 * len(rows), title=spaced(title))
    for i, (area, is_off) in enumerate(zip(rows, off, strict=True)):
        color, error = COLORS[4] if is_off else COLOR_OF[BLEND], area["mean_error"]
        axes.hlines(i, error["low"], error["high"], color=color, linewidth=2.5)
        axes.plot(error["estimate"], i, "o", color=color, markersize=5)
    axes.axvline(0, color=INK, linewidth=1)
    axes.axhline(len(thirds) - 0.5, color=MUTED, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{area['name']}  {area['houses']:,}" for area in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Mean error in % of the price paid (above 0: too high)")
    percent(axes.xaxis)
    return figure
