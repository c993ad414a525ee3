"""Search hyper-parameters on the validation part: every combination of a small grid, and the test split is not touched.

What is found is written only where it is clearly better than the settings in use; `train --tuned FILE` reads it.
"""

import json
from itertools import product
from pathlib import Path

from rich.console import Console

from new_project.config import GRID, ModelSettings, TuneConfig, tuned_settings
from new_project.data.load import load, split
from new_project.evaluation.candidates import COLUMNS, choose, compare

LEAST_GAIN = 0.01
"""As a share of the error in use: the best of many looks better than it is, and a smaller gain may be chance."""


def tune(config: TuneConfig, console: Console | None = None) -> None:
    """Measure each combination of the grid, and write the best one."""
    console = console or Console()
    data = load(config.data)
    console.print(data.source.reason)
    parts, metric = split(data), COLUMNS[0].metric

    def error(settings: ModelSettings) -> float:
        candidates = compare(parts, settings, seed=config.seed)
        return candidates[choose(candidates)].metrics[metric]

    best, in_use = tuned_settings(), error(tuned_settings())
    least = in_use
    for values in product(*GRID.values()):
        settings = ModelSettings(**dict(zip(GRID, values, strict=True)))
        found = error(settings)
        console.print(f"{settings}: {COLUMNS[0].heading} {found:.4g}")
        if found < least:
            best, least = settings, found
    console.print(f"Best {least:.4g}; in use {in_use:.4g}")
    if least > (1 - LEAST_GAIN) * in_use:
        console.print(
            f"Nothing is written: the settings in use stay, for a gain of less than {LEAST_GAIN:.0%} of the error"
        )
    elif config.write:
        path = config.output or Path(".state/tuning/new-project.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        study = {"data_sha256": data.sha256, "best": least, "in_use": in_use}
        text = json.dumps({"study": study, "settings": best.model_dump(mode="json")}, indent=2)
        path.write_text(f"{text}\n", encoding="utf-8")
        console.print(f"Written to {path}; `new-project train --tuned {path}` reads it")
