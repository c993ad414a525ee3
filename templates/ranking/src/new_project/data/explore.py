"""What the data are like before any model: drawn for the data section of the README."""

from pathlib import Path

import numpy as np

from new_project.data.load import Dataset
from portfolio_shared.evaluation import charts, figures

SHARES = np.linspace(0, 0.5, 11)
TENTH = 2  # place in SHARES


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw which share of all events the busiest users and the most chosen items have; return the file."""
    events = dataset.events
    lines = {
        what: _share_of_first(counts)
        for what, counts in (("users", np.bincount(events.users)), ("items", events.counts()))
    }
    tenths = " and ".join(f"a tenth of the {what} has {100 * line[TENTH]:.0f} %" for what, line in lines.items())
    figure = charts.line_with_band(
        100 * SHARES,
        {what: (100 * line, 100 * line, 100 * line) for what, line in lines.items()},
        xlabel="Percent of the users or items, the busiest first",
        ylabel="Percent of all events",
        title=f"Of {len(events):,} events, {tenths}",
    )
    return [figures.save_figure(figure, folder / "data.svg")]


def _share_of_first(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the share of events that each of SHARES of the users or items have, the busiest first."""
    running = np.concatenate([[0.0], np.cumsum(np.sort(counts)[::-1])]) / counts.sum()
    return np.asarray(np.interp(SHARES * len(counts), np.arange(len(running)), running), dtype=np.float64)
