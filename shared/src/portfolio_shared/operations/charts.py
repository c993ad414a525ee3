"""Small charts of a report, as SVG and HTML that take their colors from the page: it is read light and dark.

Own code, because Matplotlib writes colors that one of the two does not suit, and 20 kB a figure.
"""

from collections.abc import Sequence
from html import escape

from portfolio_shared.bundle import MetricValue
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.shapes import Shape, number

WIDTH, HEIGHT = 240, 96


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
