"""What the data are like before any model: drawn for the data section of the README."""

from pathlib import Path

import numpy as np

from new_project.data.load import Dataset
from portfolio_shared.evaluation import charts, figures

SHARES = np.linspace(0, 1, 21)


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw how much the most active users and the most chosen items account for; return the files."""
    events = dataset.events
    drawn = {
        "activity": ("users", np.bincount(events.users, minlength=events.n_users)),
        "popularity": ("items", events.counts()),
    }
    paths = []
    for name, (what, counts) in drawn.items():
        running = np.concatenate([[0.0], np.cumsum(np.sort(counts)[::-1])]) / counts.sum()
        line = np.interp(SHARES * len(counts), np.arange(len(running)), running)
        figure = charts.line_with_band(
            SHARES * 100,
            {"": (line * 100, line * 100, line * 100)},
            xlabel=f"Per cent of the {what}, the busiest first",
            ylabel="Per cent of all events",
            title=f"A tenth of the {what} has {line[2]:.0%} of the events".replace("%", " %"),
        )
        paths.append(figures.save_figure(figure, folder / f"{name}.svg"))
    return paths
