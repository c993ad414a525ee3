"""Small charts of a report, as SVG and HTML that take their colors from the page: it is read light and dark.

Own code, because Matplotlib writes colors that one of the two does not suit, and 20 kB a figure.
"""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.bundle import MetricValue
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.shapes import Shape, number

WIDTH, HEIGHT = 240, 96
POINTS = 300  # of a sequence
Pair = tuple[str, str]


def distribution(name: str, shape: Shape) -> str:
    """Draw how a column is spread: gray for the reference, a line for the window."""
    return _bars(shape) if shape.labels else _histogram(name, shape)


def _histogram(name: str, shape: Shape) -> str:
    top = max(*shape.reference, *shape.window)
    step = WIDTH / len(shape.reference)

    def heights(shares: Sequence[float]) -> list[float]:
        return [HEIGHT - 2 - (HEIGHT - 4) * share / top for share in shares]

    before = "".join(
        f'<rect class="before" x="{i * step:.1f}" y="{y:.1f}" width="{step:.2f}" height="{HEIGHT - 2 - y:.1f}"/>'
        for i, y in enumerate(heights(shape.reference))
    )
    steps = " ".join(f"V{y:.1f} H{(i + 1) * step:.1f}" for i, y in enumerate(heights(shape.window)))
    label = f"{name}: {shape.typical[1]} in the window, {shape.typical[0]} in the reference"
    return (
        f'<div><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{before}'
        f'<path class="now" d="M0 {HEIGHT - 2} {steps} V{HEIGHT - 2}"/>'
        f'<path class="base" d="M0 {HEIGHT - 1.5} H{WIDTH}"/></svg>'
        f'<div class="ends"><span>{number(shape.edges[0])}</span><span>{number(shape.edges[-1])}</span></div></div>'
    )


def _bars(shape: Shape) -> str:
    top = max(*shape.reference, *shape.window)
    rows = "".join(
        f'<dt title="{escape(label)}">{escape(label)}</dt>'
        f'<dd><i style="width:{100 * before / top:.1f}%"></i><i style="width:{100 * now / top:.1f}%"></i></dd>'
        f"<dd>{_percent(before)} → {_percent(now)}</dd>"
        for label, before, now in zip(shape.labels, shape.reference, shape.window, strict=True)
    )
    return f'<dl class="bars">{rows}</dl>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else "<\N{NO-BREAK SPACE}1 %".replace("<", "&lt;")


def intervals(label: str, mean: Interval, test: MetricValue | None) -> str:
    """Draw a mean with its interval as a line with a dot, above the band of the test's."""
    band = [] if test is None else [value for value in (test.low, test.estimate, test.high) if value is not None]
    low, high = min(*mean, *band), max(*mean, *band)
    room = 0.1 * (high - low) or abs(low) or 1.0

    def x(value: float) -> float:
        return WIDTH * (value - low + room) / (high - low + 2 * room)

    drawn = ""
    if test is not None:
        left, right = x(min(band)), x(max(band))
        drawn = f'<rect class="before" x="{left:.1f}" y="4" width="{max(2.0, right - left):.1f}" height="16" rx="2"/>'
        drawn += f'<path class="base" d="M{x(test.estimate):.1f} 4 V20"/>'
    drawn += f'<path class="now" d="M{x(mean.low):.1f} 12 H{x(mean.high):.1f}"/>'
    drawn += f'<circle class="now dot" cx="{x(mean.estimate):.1f}" cy="12" r="4"/>'
    return f'<svg class="chart" viewBox="0 0 {WIDTH} 24" role="img" aria-label="{escape(label)}">{drawn}</svg>'


def sequence(
    mean: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], *, label: str, x: str, ends: Pair
) -> str:
    """Draw a mean as it grew, with the interval around it as a band once there is one, and a line at zero.

    Parameters
    ----------
    mean, low, high
        After each value; ends that are not finite are not drawn.
    label, x
        What is drawn, and what is counted from left to right.
    ends
        What lies above zero, and what below.
    """
    n, seen = len(mean), np.isfinite(low)
    drawn = np.unique(np.linspace(0, n - 1, min(n, POINTS)).astype(int))
    heights = np.concatenate([low[seen], high[seen]]) if seen.any() else mean
    bottom, top = min(0.0, float(heights.min())), max(0.0, float(heights.max()))
    room = 0.1 * (top - bottom) or 1.0  # on both sides of zero, for the words there
    bottom, top = bottom - room, top + room

    def points(values: NDArray[np.float64], rows: NDArray[np.int_]) -> str:
        y = np.clip(HEIGHT * (top - values[rows]) / (top - bottom), 0, HEIGHT)
        return " ".join(f"{WIDTH * (i + 1) / n:.2f},{at:.2f}" for i, at in zip(rows, y, strict=True))

    inside = drawn[seen[drawn]]
    band = f'<path class="band" d="M{points(high, inside)} L{points(low, inside[::-1])} Z"/>' if len(inside) else ""
    rows = "".join(
        f'<span style="top:{100 * (top - tick) / (top - bottom):.2f}%">{number(tick)}</span>'
        for tick in ticks(bottom, top)
    )
    columns = "".join(f'<span style="left:{100 * tick / n:.2f}%">{number(tick)}</span>' for tick in ticks(0, n))
    return f"""<figure class="sequence" role="img" aria-label="{escape(label)}">
<div class="rows" aria-hidden="true">{rows}</div>
<div class="plot" aria-hidden="true"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">{band}
<path class="base" d="M0 {HEIGHT * top / (top - bottom):.2f} H{WIDTH}"/>
<path class="mean" d="M{points(mean, drawn)}"/></svg>
<span class="above">{escape(ends[0])}</span><span class="below">{escape(ends[1])}</span></div>
<div class="columns" aria-hidden="true">{columns}</div>
<figcaption>{escape(x)}</figcaption></figure>"""


def ticks(low: float, high: float) -> list[float]:
    """Return three to seven round numbers between two.

    >>> ticks(0, 214), ticks(-0.13, 0.06)
    ([0.0, 50.0, 100.0, 150.0, 200.0], [-0.1, -0.05, 0.0, 0.05])
    """
    size = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(size * times for times in (5, 2, 1) if (high - low) / (size * times) >= 3)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
