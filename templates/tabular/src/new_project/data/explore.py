"""What the data section of the README shows: how often each value of the target occurs."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from new_project.config import TARGET_FORM
from new_project.data.columns import schema
from new_project.data.load import Dataset
from portfolio_shared.evaluation.figures import COLORS, canvas, in_house_style, save_figure


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the data as SVG, and return the files."""
    return [save_figure(draw_target(dataset.rows.target), folder / "data.svg")]


@in_house_style
def draw_target(target: NDArray[np.float64]) -> Figure:
    """Draw how often each value of the target occurs; what is usual is in the title."""
    low, median, high = np.quantile(target, [0.05, 0.5, 0.95])
    least, middle, most = (format(value, TARGET_FORM) for value in (low, median, high))
    title = f"Half of the rows lie below {middle}, nine in ten between {least} and {most}"
    figure, axes = canvas(height=3.4, title=title)
    axes.hist(target, bins=min(60, max(10, len(target) // 20)), color=COLORS[0])
    axes.axvline(float(median), color=COLORS[1])
    axes.set(xlabel=schema().target.label, ylabel="rows")
    return figure
