"""Charts in the house style that any project may need: points, intervals, coverage, lines with bands, bars.

A title states what the chart shows, so it is made from the same numbers; axes have units in words.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, ScalarFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.figures import (
    COLORS,
    DASHES,
    INK,
    MARKERS,
    MINUS,
    MUTED,
    canvas,
    in_house_style,
    percent,
)
from portfolio_shared.evaluation.uncertainty import Interval, wilson_interval
from portfolio_shared.evaluation.vectors import check_vectors


@in_house_style
def scatter_predicted_actual(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str, title: str | None = None) -> Figure:
    """Predicted against actual values, one point a row, with the line where both are equal."""
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    figure, axes = canvas(width=6.3, height=5.6, title=title)
    low, high = min(true.min(), pred.min()), max(true.max(), pred.max())
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=INK, linewidth=1, zorder=3)
    _points(axes, true, pred)
    axes.set(xlim=limits, ylim=limits, xlabel=f"Actual ({unit})", ylabel=f"Predicted ({unit})", aspect="equal")
    for x, y, side, text in ((0.04, 0.95, "left", "predicted too high"), (0.96, 0.05, "right", "predicted too low")):
        axes.text(x, y, text, transform=axes.transAxes, ha=side, va="center", color=MUTED)
    _plain_numbers(axes, "x", "y")
    return figure


@in_house_style
def residual_plot(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str, title: str | None = None) -> Figure:
    """Error (predicted less actual, so above zero is too high) against the predicted value.

    From 50 rows on, a line shows the median error and a band the middle 80 % of ten equally large groups.
    """
    true, pred = check_vectors(y_true=y_true, y_pred=y_pred)
    error = pred - true
    figure, axes = canvas(height=4.2, title=title)
    _points(axes, pred, error)
    axes.axhline(0, color=INK, linewidth=1)
    if len(true) >= 50:
        groups = np.array_split(np.argsort(pred, kind="stable"), 10)
        center = np.array([np.median(pred[group]) for group in groups])
        low, middle, high = np.array([np.quantile(error[group], [0.1, 0.5, 0.9]) for group in groups]).T
        axes.fill_between(center, low, high, color=COLORS[1], alpha=0.3, linewidth=0)
        axes.plot(center, middle, color=COLORS[4])
        ends = [(middle[-1], "median error", COLORS[4]), (high[-1], "80 % of rows", COLORS[1])]
        _label_ends(axes, center[-1], ends)
    axes.set(xlabel=f"Predicted ({unit})", ylabel=f"Predicted {MINUS} actual ({unit})")
    _plain_numbers(axes, "x", "y")
    return figure


@in_house_style
def interval_bars(
    names: Sequence[str],
    intervals: Sequence[Interval],
    *,
    xlabel: str,
    title: str | None = None,
    color_of: Mapping[str, str] | None = None,
    reference: float | None = None,
) -> Figure:
    """Estimates with their intervals, the first name on top.

    Parameters
    ----------
    color_of
        Colors of names; those of others are the first one.
    reference
        Where a vertical line stands, such as 0 for differences: an interval that it crosses may be chance.
    """
    estimate, low, high = (np.array(ends) for ends in zip(*intervals, strict=True))
    figure, axes, rows = _rows(names, len(estimate), title=title)
    colors = [(color_of or {}).get(name, COLORS[0]) for name in names]
    _dots_with_bars(axes, rows, estimate, low, high, labels=_numbers(estimate), colors=colors)
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1)
    axes.set_xlabel(xlabel)
    _plain_numbers(axes, "x")
    return figure


@in_house_style
def coverage_bars(
    groups: Sequence[str], coverage: ArrayLike, *, nominal: float, counts: Sequence[int], title: str | None = None
) -> Figure:
    """Share of rows inside their prediction interval, by group, against the nominal share.

    The bar around each point is the 95 % Wilson interval (1927) of the share, given the rows of the group: a group
    is off the nominal line only if its whole bar is.
    """
    share, n = check_vectors(coverage=coverage, counts=counts)
    figure, axes, rows = _rows(groups, len(share), title=title)
    low, high = wilson_interval(share, n)
    axes.axvline(nominal, color=INK, linewidth=1)
    above = axes.annotate(f"nominal {nominal * 100:g} %", (nominal, 1.01), xycoords=("data", "axes fraction"))
    above.set(ha="center", va="bottom", color=MUTED)
    labels = [f"{value * 100:.0f} % of {count:,.0f}" for value, count in zip(share, n, strict=True)]
    _dots_with_bars(axes, rows, share, low, high, labels=labels)
    axes.set_xlabel("Share of rows inside their interval, with its 95 % interval")
    percent(axes.xaxis)
    return figure


@in_house_style
def line_with_band(
    x: ArrayLike,
    series: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    color_of: Mapping[str, str] | None = None,
    logx: bool = False,
) -> Figure:
    """One line with a band (mean, low, high) for each of up to six series, named at the right end of its line.

    `color_of` has the colors of names, so that a model has one color in all figures of a project. With `logx` equal
    ratios of x are equally far apart, and the ticks are the values of x.
    """
    if not 1 <= len(series) <= len(COLORS):
        raise ValueError(f"expected 1 to {len(COLORS)} series, not {len(series)}: more cannot be distinguished")
    figure, axes = canvas(height=4.2, title=title)
    ends: list[tuple[float, str, str]] = []
    for i, (name, triple) in enumerate(series.items()):
        at, mean, low, high = check_vectors(x=x, mean=triple[0], low=triple[1], high=triple[2])
        color = (color_of or {}).get(name, COLORS[i])
        axes.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(at, mean, color=color, linestyle=DASHES[i], marker=MARKERS[i], markersize=5)
        ends.append((float(mean[-1]), name, color))
    axes.margins(x=0.02)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    _plain_numbers(axes, "y")
    if logx:
        axes.set_xscale("log")
        axes.set_xticks(at, [_number(value) for value in at])
        axes.minorticks_off()
    else:
        _plain_numbers(axes, "x")
    _label_ends(axes, float(at[-1]), ends)
    return figure


@in_house_style
def horizontal_bars(
    names: Sequence[str],
    values: ArrayLike,
    *,
    xlabel: str,
    title: str | None = None,
    shares: bool = False,
    color_of: Mapping[str, str] | None = None,
) -> Figure:
    """One bar a name, the first on top, with its value (of `shares` in percent) at its end; another color below 0.

    `color_of` has the colors of names.
    """
    (lengths,) = check_vectors(values=values)
    figure, axes, rows = _rows(names, len(lengths), title=title)
    signs = [COLORS[0] if value >= 0 else COLORS[1] for value in lengths]
    colors = [(color_of or {}).get(name, sign) for name, sign in zip(names, signs, strict=True)]
    axes.barh(rows, lengths, height=0.62, color=colors)
    for row, value in zip(rows, lengths, strict=True):
        offset, side = (6, "left") if value >= 0 else (-6, "right")
        text = f"{value * 100:.0f} %" if shares else _number(value)
        axes.annotate(text, (value, row), (offset, 0), textcoords="offset points", ha=side, va="center")
    low, high = min(0.0, lengths.min()), max(0.0, lengths.max())
    room = 0.16 * (high - low) or 1.0  # for the numbers at the ends
    axes.set_xlim(low - 1.2 * room if low < 0 else 0, 0 if low < 0 == high else high + room)
    if low < 0:
        axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_locator(MaxNLocator(6))  # numbers with a sign and a comma need room
    percent(axes.xaxis) if shares else _plain_numbers(axes, "x")
    return figure


def _rows(names: Sequence[str], n: int, *, title: str | None) -> tuple[Figure, Axes, NDArray[np.float64]]:
    if len(names) != n:
        raise ValueError(f"{len(names)} names for {n} values")
    figure, axes = canvas(height=1.2 + 0.36 * n, title=title)
    rows = np.arange(n, dtype=np.float64)
    axes.set_yticks(rows, names)
    axes.set_ylim(n - 0.4, -0.6)  # downwards: the first name is on top
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes, rows


def _dots_with_bars(
    axes: Axes,
    rows: NDArray[np.float64],
    estimate: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    labels: Sequence[str],
    colors: Sequence[str] | None = None,
) -> None:
    colors = colors or [COLORS[0]] * len(rows)
    axes.hlines(rows, low, high, colors=colors, linewidth=2.5)
    axes.scatter(estimate, rows, c=colors, s=49, zorder=3)
    for row, label in zip(rows, labels, strict=True):
        # A column at the right edge, where no line can run through it.
        axes.annotate(label, (1.02, row), xycoords=("axes fraction", "data"), va="center")


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    # Many points as vectors make a page slow; as pixels they weigh nothing.
    axes.scatter(x, y, s=14, color=COLORS[0], alpha=0.45, linewidths=0, rasterized=len(x) > 3000)


def _label_ends(axes: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Name lines at their right ends, in order of height, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    gap = 0.065 * (top - bottom)
    level = -np.inf
    for y, name, color in sorted(ends):
        level = max(y, level + gap)
        darker = tuple(0.7 * channel for channel in to_rgb(color))  # letters need more contrast than areas
        text = axes.annotate(name, (x, level), (8, 0), textcoords="offset points", va="center", color=darker)
        text.set(fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="white")])


def _numbers(values: NDArray[np.float64]) -> list[str]:
    """Write a column of numbers of one size with equally many decimals: 0.12 above 0.1093 is 0.1200."""
    largest = np.abs(values).max()
    plain = [np.format_float_positional(value, precision=4, fractional=False, trim="-") for value in values]
    needed = max(len(text.partition(".")[2]) for text in plain)
    decimals = min(needed, max(0, 3 - int(np.floor(np.log10(largest))))) if largest > 0 else 0
    return [f"{value:,.{decimals}f}".replace("-", MINUS) for value in values.tolist()]


def _number(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", MINUS)


def _plain_numbers(axes: Axes, *which: Literal["x", "y"]) -> None:
    """Write 150000 as 150,000, never with an offset or as a power of ten."""
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        if max(abs(limit) for limit in axis.get_view_interval()) >= 10_000:
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        else:
            plain = ScalarFormatter(useOffset=False)
            plain.set_scientific(False)
            axis.set_major_formatter(plain)
