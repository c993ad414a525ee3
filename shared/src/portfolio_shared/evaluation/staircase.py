"""A staircase: what each step from a simple model to the served one brings, in the unit of the metric."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike

from portfolio_shared.evaluation.figures import COLORS, GRID, INK, canvas, in_house_style
from portfolio_shared.evaluation.vectors import check_vectors


@in_house_style
def staircase(
    names: Sequence[str],
    values: ArrayLike,
    *,
    xlabel: str,
    form: Callable[[float], str],
    title: str | None = None,
    color_of: Mapping[str, str] | None = None,
    lower_is_better: bool = True,
    log: bool = False,
) -> Figure:
    """Draw one row a step, the first on top: where its value lies, and a bar from the value of the step before.

    Parameters
    ----------
    names, values
        The steps in order, and the metric after each.
    form
        Writes a value, and the size of a change, as a label has it.
    color_of
        Colors of names; the bar of a step that makes matters worse is hatched.
    log
        Whether equal steps of the axis are equal factors: where the first steps dwarf the others.
    """
    (reached,) = check_vectors(values=values)
    if len(names) != len(reached):
        raise ValueError(f"{len(names)} names for {len(reached)} values")
    figure, axes = canvas(height=1.2 + 0.36 * len(reached), title=title)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    previous = [reached[0], *reached[:-1]]
    for row, (name, before, value) in enumerate(zip(names, previous, reached, strict=True)):
        color = (color_of or {}).get(name, COLORS[0])
        worse = (value > before) == lower_is_better and value != before
        left, width = min(before, value), abs(value - before)
        axes.barh(row, width, left=left, height=0.5, color=color, alpha=0.35, hatch="///" if worse else None)
        axes.plot([value, value], [row - 0.25, row + 1.25 if row + 1 < len(reached) else row + 0.25], color=GRID)
        axes.plot(value, row, "o", color=color, markersize=7)
        sign = "+" if value > before else "\N{MINUS SIGN}"
        change = f"  ({sign}{form(width)})" if row else ""
        axes.annotate(form(value) + change, (1.02, row), xycoords=("axes fraction", "data"), va="center", color=INK)
    axes.set_yticks(np.arange(len(reached)), names)
    axes.set_ylim(len(reached) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    low, high = reached.min(), reached.max()
    room = (high / low) ** 0.08 if log else 0.06 * (high - low) or 1.0
    axes.set_xlim((low / room, high * room) if log else (low - room, high + room))
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    return figure
