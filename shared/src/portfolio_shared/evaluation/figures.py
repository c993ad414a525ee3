"""Figures in one house style: few lines, direct labels, readable in greyscale and by colour-blind readers.

Every function returns a `Figure` that belongs to no window and no global state, so it works without a display and
leaks nothing. `save_figure` writes it; the same figure gives the same bytes each time.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from portfolio_shared.evaluation.uncertainty import Interval

# Okabe and Ito (2008), ordered so that neighbours also differ in lightness; markers and dashes repeat the message.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, MUTED, GRID = "#222222", "#5F6368", "#E3E5E8"
WIDTH = 7.2  # inches; at 120 dots per inch the text column of a page on a code host

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
    "figure.facecolor": "white",
    "figure.dpi": 120,
    "savefig.dpi": 120,
    "svg.hashsalt": "portfolio",  # ids of shapes are hashes; without a salt they would be random
    "svg.fonttype": "path",
}
P = ParamSpec("P")


def _in_house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the figure as SVG or PNG, by the suffix of `path`, and free its memory; returns `path`.

    The bytes depend on the figure and the version of matplotlib only: no date, no random ids.
    """
    metadata = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
    if path.suffix not in metadata:
        raise ValueError(f"a figure is saved as .svg or .png, not {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(path, format=path.suffix[1:], metadata=metadata[path.suffix])
    figure.clear()
    return path


@_in_house_style
def scatter_predicted_actual(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str, title: str | None = None) -> Figure:
    """Predicted against actual values, one point a row, with the line where both are equal."""
    true, pred = _vectors(y_true=y_true, y_pred=y_pred)
    figure, axes = _canvas(height=5.6, title=title)
    low, high = min(true.min(), pred.min()), max(true.max(), pred.max())
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=INK, linewidth=1, zorder=3)
    _points(axes, true, pred)
    axes.set(xlim=limits, ylim=limits, xlabel=f"Actual ({unit})", ylabel=f"Predicted ({unit})", aspect="equal")
    axes.annotate(
        "predicted = actual",
        (0.97, 0.97),
        xytext=(0, -22),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="top",
        color=INK,
    )
    _plain_numbers(axes, x=True, y=True)
    return figure


@_in_house_style
def residual_plot(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str, title: str | None = None) -> Figure:
    """Error (predicted less actual, so above zero is too high) against the predicted value.

    From 50 rows on, a line shows the median error and a band the middle 80 % of ten equally large groups.
    """
    true, pred = _vectors(y_true=y_true, y_pred=y_pred)
    error = pred - true
    figure, axes = _canvas(height=4.2, title=title)
    _points(axes, pred, error)
    axes.axhline(0, color=INK, linewidth=1)
    if len(true) >= 50:
        groups = np.array_split(np.argsort(pred, kind="stable"), 10)
        centre = np.array([np.median(pred[group]) for group in groups])
        low, middle, high = np.array([np.quantile(error[group], [0.1, 0.5, 0.9]) for group in groups]).T
        axes.fill_between(centre, low, high, color=COLOURS[1], alpha=0.3, linewidth=0)
        axes.plot(centre, middle, color=COLOURS[3])
        _label_ends(axes, centre[-1], [(middle[-1], "median error", COLOURS[3])])
    axes.set(xlabel=f"Predicted ({unit})", ylabel=f"Predicted - actual ({unit})")
    _plain_numbers(axes, x=True, y=True)
    return figure


@_in_house_style
def interval_bars(
    names: Sequence[str],
    intervals: Sequence[Interval],
    *,
    xlabel: str,
    reference: float | None = None,
    title: str | None = None,
) -> Figure:
    """Estimates with their intervals, the first name on top; `reference` is drawn as a vertical line."""
    estimate, low, high = _vectors(
        estimate=[interval.estimate for interval in intervals],
        low=[interval.low for interval in intervals],
        high=[interval.high for interval in intervals],
    )
    figure, axes, rows = _rows(names, len(estimate), title=title)
    if reference is not None:
        axes.axvline(reference, color=INK, linewidth=1)
    axes.hlines(rows, low, high, color=COLOURS[0], linewidth=2.5)
    axes.plot(estimate, rows, "o", color=COLOURS[0], markersize=7)
    for row, value, right in zip(rows, estimate, high, strict=True):
        _label_right(axes, max(right, value), row, f"{value:.4g}")
    axes.set_xlabel(xlabel)
    _plain_numbers(axes, x=True)
    return figure


@_in_house_style
def coverage_bars(
    groups: Sequence[str],
    coverage: ArrayLike,
    *,
    nominal: float,
    counts: Sequence[int],
    title: str | None = None,
) -> Figure:
    """Share of rows inside their prediction interval, by group, against the nominal share.

    The bar around each point is the 95 % Wilson interval (1927) of the share, given the rows of the group: a group
    is off the nominal line only if its whole bar is.
    """
    share, n = _vectors(coverage=coverage, counts=counts)
    if share.min() < 0 or share.max() > 1 or n.min() < 1:
        raise ValueError("coverage must lie between 0 and 1, and every group must have rows")
    figure, axes, rows = _rows(groups, len(share), title=title)
    low, high = _wilson(share, n)
    axes.axvline(nominal, color=INK, linewidth=1)
    axes.hlines(rows, low, high, color=COLOURS[0], linewidth=2.5)
    axes.plot(share, rows, "o", color=COLOURS[0], markersize=7)
    for row, value, right, count in zip(rows, share, high, n, strict=True):
        _label_right(axes, right, row, f"{value:.0%} of {count:,.0f}")
    axes.set_xlabel(f"Inside the interval; line: nominal {nominal:.0%}")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


@_in_house_style
def line_with_band(
    x: ArrayLike,
    series: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
) -> Figure:
    """One line with a band (mean, low, high) for each of up to six series, named at the right end of its line."""
    if not 1 <= len(series) <= len(COLOURS):
        raise ValueError(f"expected 1 to {len(COLOURS)} series, not {len(series)}: more cannot be told apart")
    figure, axes = _canvas(height=4.2, title=title)
    ends: list[tuple[float, str, str]] = []
    for i, (name, triple) in enumerate(series.items()):
        at, mean, low, high = _vectors(x=x, mean=triple[0], low=triple[1], high=triple[2])
        axes.fill_between(at, low, high, color=COLOURS[i], alpha=0.18, linewidth=0)
        axes.plot(at, mean, color=COLOURS[i], linestyle=DASHES[i], marker=MARKERS[i], markersize=5)
        ends.append((float(mean[-1]), name, COLOURS[i]))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    _plain_numbers(axes, x=True, y=True)
    _label_ends(axes, float(at[-1]), ends)
    return figure


@_in_house_style
def horizontal_bars(names: Sequence[str], values: ArrayLike, *, xlabel: str, title: str | None = None) -> Figure:
    """One bar a name, the first on top, with its value at its end; values below zero are drawn in another colour."""
    (length,) = _vectors(values=values)
    figure, axes, rows = _rows(names, len(length), title=title)
    axes.barh(rows, length, height=0.62, color=[COLOURS[0] if value >= 0 else COLOURS[1] for value in length])
    for row, value in zip(rows, length, strict=True):
        _label_right(axes, value, row, f"{value:,.4g}", mirrored=value < 0)
    if length.min() < 0:
        axes.axvline(0, color=INK, linewidth=1)
    axes.margins(x=0.12)
    axes.set_xlabel(xlabel)
    _plain_numbers(axes, x=True)
    return figure


def _canvas(*, height: float, title: str | None) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    if title is not None:
        # On the figure, not on the axes: it starts at the left edge, however long the names of the rows are.
        figure.suptitle(textwrap.fill(title, 70), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure, figure.add_subplot()


def _rows(names: Sequence[str], n: int, *, title: str | None) -> tuple[Figure, Axes, NDArray[np.float64]]:
    if len(names) != n:
        raise ValueError(f"{len(names)} names for {n} values")
    figure, axes = _canvas(height=1.1 + 0.36 * n, title=title)
    rows = np.arange(n, dtype=np.float64)
    axes.set_yticks(rows, names)
    axes.set_ylim(n - 0.4, -0.6)  # downwards: the first name is on top
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes, rows


def _points(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    # Many points as vectors make a page slow; as pixels they weigh nothing.
    axes.scatter(x, y, s=14, color=COLOURS[0], alpha=0.45, linewidths=0, rasterized=len(x) > 3000)


def _label_right(axes: Axes, x: float, y: float, text: str, *, mirrored: bool = False) -> None:
    offset, side = (-6, "right") if mirrored else (6, "left")
    axes.annotate(text, (x, y), xytext=(offset, 0), textcoords="offset points", ha=side, va="center", color=INK)


def _label_ends(axes: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Name lines at their right ends, in order of height, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    gap = 0.065 * (top - bottom)
    level = -np.inf
    for y, name, colour in sorted(ends):
        level = max(y, level + gap)
        axes.annotate(
            name,
            (x, level),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )


def _plain_numbers(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Write 150000 as 150,000, never as an offset or a power of ten."""
    for axis, wanted in ((axes.xaxis, x), (axes.yaxis, y)):
        if wanted:
            axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,.10g}"))


def _wilson(share: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z = 1.959964  # 95 %
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def _vectors(**named: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    vectors = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    shapes = {name: vector.shape for name, vector in vectors.items()}
    if any(vector.ndim != 1 for vector in vectors.values()) or len(set(shapes.values())) > 1:
        raise ValueError(f"expected 1-D arrays of one length, not shapes {shapes}")
    for name, vector in vectors.items():
        if len(vector) == 0 or not np.isfinite(vector).all():
            raise ValueError(f"{name} is empty or has values that are not finite")
    return tuple(vectors.values())
