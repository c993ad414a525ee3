"""The pictures of a drill, as SVG that reads light and dark: on a page, which sets its colors, or as a file alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from statistics import fmean

from portfolio_shared.operations.charts import ticks
from portfolio_shared.operations.shapes import number

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, BOTTOM = 52, 14, 26
ROW = 17  # of labels above a chart
CHARACTER = 6.3  # width of one at 12 pixels, as a rule
BIN = 25  # answers whose mean is one dot
CUTS = ("the world changes", "promoted", "rolled back")
"""Marks after which answers are of another kind."""
COLORS = """
svg { --ink: #1e1d1a; --ink-soft: #5c5950; --rule: #e3dfd4; --control: #87837a; --accent: #0b5c7a; --paper: #fbfaf6 }
@media (prefers-color-scheme: dark) {
  svg { --ink: #ecebe6; --ink-soft: #b0ada4; --rule: #303337; --control: #7e8288; --accent: #84c6dd; --paper: #16181a }
}
"""
CLASSES = """
.drill { font: 12px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif }
.drill { display: block; width: 100%; min-width: 36rem; max-width: 60rem }
.drill text { fill: var(--ink-soft); paint-order: stroke; stroke: var(--paper); stroke-width: 4px }
.drill .said { fill: var(--ink); font-weight: 600 }
.drill .grid { stroke: var(--rule) }
.drill .mark { stroke: var(--control); stroke-dasharray: 3 3 }
.drill .dot { fill: var(--control) }
.drill .mean { stroke: var(--control); stroke-width: 2.5 }
.drill .dot.new { fill: var(--accent) }
.drill .mean.new { stroke: var(--accent) }
"""

Point = tuple[float, str, float]
Mark = tuple[float, str]
Dot = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Where values are drawn: x from 0 to `last`, y from 0 to `highest` below `top`."""

    last: float
    highest: float
    top: float

    def x(self, value: float) -> float:
        """Return pixels from the left."""
        return LEFT + (WIDTH - LEFT - RIGHT) * value / max(1, self.last)

    def y(self, value: float) -> float:
        """Return pixels from above."""
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - self.top) * value / self.highest


def alone(svg: str) -> str:
    """Return a picture as a file of its own: with its colors, on paper."""
    head, _, rest = svg.partition(">")
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{COLORS}</style>{paper}{rest}\n'


def timeline(points: Sequence[Point], marks: Sequence[Mark], *, label: str, new: str) -> str:
    """Draw what truths showed of the answers, one after the other, with what happened between them.

    Parameters
    ----------
    points
        (time, version, value), the oldest first.
    new
        The version that learned the change, which has another color.
    """
    places = [(sum(at < moment for at, *_ in points), what) for moment, what in marks]
    cuts = [0, *(place for place, what in places if what in CUTS), len(points)]
    phases = [(first, points[first:last]) for first, last in pairwise(cuts) if last > first]
    dots = [_dots(*phase) for phase in phases]
    scale = Scale(len(points), 1.08 * max(value for each in dots for _, value in each), 0.0)
    labels = _rows([(scale.x(place), what) for place, what in places])
    scale = replace(scale, top=26.0 + ROW * (2 + max((row for *_, row in labels), default=0)))
    drawn = [
        _axis(scale),
        f'<text x="{LEFT}" y="14">{escape(label)}, mean of {BIN} answers</text>',
        *(_mark(*each) for each in labels),
        *(_phase(*phase, each, scale, new=new) for phase, each in zip(phases, dots, strict=True)),
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{len(points):,} answers with a truth</text>',
    ]
    said = escape(f"{label} over {len(points)} answers")
    head = f'<svg class="drill" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}"><style>{CLASSES}</style>'
    return f"{head}{''.join(drawn)}</svg>"


def _dots(start: int, phase: Sequence[Point]) -> list[Dot]:
    """Return the middle and the mean of each so many answers; a remainder belongs to all of them."""
    n = max(1, len(phase) // BIN)
    edges = [round(i * len(phase) / n) for i in range(n + 1)]
    return [
        (start + (first + last) / 2, fmean(value for *_, value in phase[first:last])) for first, last in pairwise(edges)
    ]


def _phase(start: int, phase: Sequence[Point], dots: Sequence[Dot], scale: Scale, *, new: str) -> str:
    mean, version = fmean(value for *_, value in phase), phase[len(phase) // 2][1]
    kind = " new" if version == new else ""
    left, right = scale.x(start), scale.x(start + len(phase))
    circles = "".join(
        f'<circle class="dot{kind}" cx="{scale.x(at):.1f}" cy="{scale.y(value):.1f}" r="3"/>' for at, value in dots
    )
    above = scale.y(max(mean, *(value for _, value in dots))) - 9
    said = f"v{version}: {number(mean)}"
    middle = min((left + right) / 2, WIDTH - CHARACTER * len(said) / 2)
    line = f'<path class="mean{kind}" d="M{left + 3:.1f} {scale.y(mean):.1f} H{right - 3:.1f}"/>'
    label = f'<text class="said" x="{middle:.1f}" y="{above:.1f}" text-anchor="middle">{said}</text>'
    return circles + line + label


def _axis(scale: Scale) -> str:
    return "".join(
        f'<path class="grid" d="M{LEFT} {scale.y(tick):.1f} H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{scale.y(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>'
        for tick in ticks(0.0, scale.highest)
    )


def _rows(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str, str, int]]:
    """Return x, text, anchor and row of labels, such that none covers another."""
    ends: list[float] = []
    placed = []
    for x, what in labels:
        width = CHARACTER * len(what) + 10
        anchor = "end" if x + width > WIDTH - RIGHT else "start"
        left = x - width if anchor == "end" else x
        row = next((i for i, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [left + width]
        placed.append((x, what, anchor, row))
    return placed


def _mark(x: float, what: str, anchor: str, row: int) -> str:
    y = 32 + ROW * row
    beside = x + 4 if anchor == "start" else x - 4
    return (
        f'<path class="mark" d="M{x:.1f} {y - 10} V{HEIGHT - BOTTOM}"/>'
        f'<text class="said" x="{beside:.1f}" y="{y}" text-anchor="{anchor}">{escape(what)}</text>'
    )
