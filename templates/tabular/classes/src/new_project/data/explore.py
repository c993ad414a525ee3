"""What the data section of the README shows: how often each class occurs."""

from pathlib import Path

import numpy as np

from new_project.data.columns import schema
from new_project.data.load import Dataset
from portfolio_shared.evaluation import charts
from portfolio_shared.evaluation.figures import save_figure


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw the data as SVG, and return the files."""
    names = list(schema().target.classes)
    shares = np.bincount(dataset.rows.target.astype(np.int64), minlength=len(names)) / len(dataset.rows)
    figure = charts.horizontal_bars(
        names,
        shares,
        xlabel="share of the rows",
        title=f"{100 * shares.max():.0f} % of the rows are {names[int(shares.argmax())]}: to say so always is easy",
        shares=True,
    )
    return [save_figure(figure, folder / "data.svg")]
