"""How many rows of a file a second of one core answers, beside the usual tools on the same rows in the same run.

Each way reads the file, answers it and writes another one; the start of the process and the loading of the model are
not counted. The ways take turns, and the CPU's seconds are counted: what else the machine does falls on none of them.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Before NumPy and the tree libraries are imported: one thread each.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from record import RESULTS, check_limits, finish
from rich.console import Console

from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.evaluation.tables import terminal_table

Way = Callable[[], int]
"""Reads a file, answers it, writes the answers; returns how many rows that were."""


def run(
    project: str,
    about: str | None,
    ways: Callable[[Path, Path], Mapping[str, Way]],
    *,
    ratios: Mapping[str, tuple[str, str]],
    limits: Mapping[str, float],
) -> int:
    """Measure the ways, print, write `results/<project>_batch.json`; return 1 if a limit is broken.

    Parameters
    ----------
    ways
        Makes the ways by name, from the folder of the model and an empty folder.
    ratios
        Name of a measurement -> the way whose rows a second are divided by those of the other one.
    limits
        Least values of the ratios, and of the rows a second of a way under the way's name.
    """
    parser = argparse.ArgumentParser(description=about)
    bundle, output = Path(".state/bundles") / project, RESULTS / f"{project.replace('-', '_')}_batch.json"
    parser.add_argument("--bundle", type=Path, default=bundle, help="folder of the model (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is measured (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=output, help="file to write (default: %(default)s)")
    options = parser.parse_args()
    if not options.bundle.is_dir():
        sys.exit(f"{options.bundle} does not exist: `DATASET=full make train-{project}` makes it")
    manifest = read_manifest(options.bundle, project=project)
    with tempfile.TemporaryDirectory() as place:
        rows = measure(ways(options.bundle, Path(place)), rounds=options.rounds)
    rates = {row["name"]: row["rows_a_second"] for row in rows}
    measured = rates | {name: round(rates[ours] / rates[theirs], 2) for name, (ours, theirs) in ratios.items()}
    recorded = {
        "bundle": bundle_digest(options.bundle)[:12],
        "data": f"{manifest.data.name} ({manifest.data.source})",
        "rounds": options.rounds,
        "python": platform.python_version(),
        "ways": rows,
        "measured": {name: measured[name] for name in ratios},
        "limits": dict(limits),
    }
    console = Console()
    table = [[row["name"], f"{row['rows']:,}", f"{row['seconds']:.2f}", f"{row['rows_a_second']:,.0f}"] for row in rows]
    title = f"One core, the median of {options.rounds} rounds in turns, the model {recorded['bundle']}"
    console.print(terminal_table(title, ["way", "rows", "CPU seconds", "rows a second"], table))
    return finish(console, options.output, recorded, check_limits(measured, limits, least=True))


def measure(ways: Mapping[str, Way], *, rounds: int) -> list[dict[str, Any]]:
    """Return rows, CPU seconds and rows a second of each way; each runs once before it is measured."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    n_rows = {name: way() for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way()
            seconds[name].append(time.process_time() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "name": name,
            "rows": n_rows[name],
            "seconds": round(medians[name], 3),
            "rows_a_second": round(n_rows[name] / medians[name]),
        }
        for name in ways
    ]
