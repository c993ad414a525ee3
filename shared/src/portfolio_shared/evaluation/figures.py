"""Figures in one house style: few lines, direct labels, readable in grayscale and by color-blind readers.

Every function returns a `Figure` that belongs to no window and no global state, so it works without a display and
leaks nothing. `save_figure` writes it; the same figure gives the same bytes each time.
"""

import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

# Okabe and Ito (2008), ordered so that neighbors also differ in lightness; markers and dashes repeat the message.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, MUTED, GRID = "#222222", "#5F6368", "#E3E5E8"
MINUS = "\N{MINUS SIGN}"
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


def in_house_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function that draws a figure draw it in this style; projects' own figures use it too."""

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
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_text().count("$") > 1 and "\\math" not in text.get_text():
            text.set_parse_math(parse_math=False)  # dollars; a logarithmic axis has its own powers of ten
    with mpl.rc_context(STYLE):
        figure.savefig(path, format=path.suffix[1:], metadata=metadata[path.suffix])
    figure.clear()
    return path


def canvas(*, height: float, title: str | None, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return an empty figure, its sizes in inches, and its axes; the title starts at the left edge."""
    figure, (axes,) = canvases(1, height=height, title=title, width=width)
    return figure, axes


def canvases(n: int, *, height: float, title: str | None, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """Return an empty figure as `canvas` does, with n axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if title is not None:
        letters = int(9.2 * width)
        lines = -(-len(title) // letters)
        # Lines of about one length: no single word is left over for the last one.
        wrapped = textwrap.wrap(title, min(letters, len(title) // lines + 8))
        # On the figure, not on the axes: it starts at the left edge, however long the names of the rows are.
        figure.suptitle("\n".join(wrapped), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure, list(figure.subplots(1, n, squeeze=False)[0])


def percent(axis: Axis) -> None:
    """Write the shares along an axis as percent."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %".replace("-", MINUS)))


def dollars(axis: Axis) -> None:
    """Write the dollars along an axis as $500 and $150k."""
    axis.set_major_formatter(FuncFormatter(lambda amount, _: in_dollars(amount)))


def in_dollars(amount: float) -> str:
    """Return an amount as a label has it.

    Examples
    --------
    >>> in_dollars(149_900), in_dollars(1_250), in_dollars(500), in_dollars(0)
    ('$150k', '$1.2k', '$500', '$0')
    """
    size = abs(amount)
    text = f"${size:,.0f}" if size < 1000 else f"${size / 1000:,.{int(size < 10_000 and size % 1000 != 0)}f}k"
    return f"{MINUS}{text}" if amount < 0 else text
