"""What the data section of the README shows: the target, and how much is missing."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from new_project.data.columns import schema
from new_project.data.load import Dataset
from portfolio_shared.evaluation import charts
from portfolio_shared.evaluation.figures import COLORS, canvas, in_house_style, save_figure


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the data as SVG, and return the files."""
    rows = dataset.rows
    figures = {"data": draw_target(rows.target)}
    missing = {
        column.label: float(np.mean([record[column.name] is None for record in rows.records]))
        for column in schema().columns
    }
    figures["missing"] = charts.horizontal_bars(
        list(missing),
        list(missing.values()),
        xlabel="share of rows that do not have it",
        title=f"{sum(share > 0 for share in missing.values())} of {len(missing)} columns have gaps",
        shares=True,
    )
    return [save_figure(figure, folder / f"{name}.svg") for name, figure in figures.items()]


@in_house_style
def draw_target(target: "np.typing.NDArray[np.float64]") -> Figure:
    """Draw how often each value of the target occurs; the middle nine tenths are in the title."""
    low, median, high = np.quantile(target, [0.05, 0.5, 0.95])
    title = f"Half of the rows lie below {median:,.4g}, nine in ten between {low:,.4g} and {high:,.4g}"
    figure, axes = canvas(height=3.4, title=title)
    axes.hist(target, bins=min(60, max(10, len(target) // 20)), color=COLORS[0])
    axes.axvline(float(median), color=COLORS[1])
    axes.set(xlabel=schema().target.label, ylabel="rows")
    return figure
