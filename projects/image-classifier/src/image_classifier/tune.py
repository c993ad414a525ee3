"""Measure what each part of the training buys, with one small budget of epochs for all.

There is no search by Optuna here as there is for the tables of houses and films: a trial is a training of minutes, and
differences between settings are within what chance does on a validation part of 400 pictures. So a few trainings that
differ in one part each are compared, and a person reads the table.
"""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from image_classifier.config import MODEL_NAME, USUAL, Compute, FineTuneSettings, ModelSettings, TuneConfig
from image_classifier.data.load import load, split
from image_classifier.evaluation.ablation import Step, ablate
from portfolio_shared.tracking.client import check_server
from portfolio_shared.tracking.runs import UNTRACKED, RunLog, tracked_run

COMMITTED = Path("projects/image-classifier/docs/ablation.json")
"""What the README shows: of the public data alone."""


def tune(config: TuneConfig, console: Console | None = None) -> None:
    """Train every variant and write what the validation part says of it, after each; log each as a child run.

    Raises
    ------
    TrackingUnavailable
        If there is a tracking URI and no server answers.
    """
    console = console or Console()
    if config.tracking_uri:
        check_server(config.tracking_uri)
    dataset = load(config.data)
    recorded: dict[str, Any] = {"epochs": config.epochs, "crop": config.crop, "data": dataset.name, "steps": []}
    own = config.work / COMMITTED.name
    output = config.output or (COMMITTED if dataset.source.kind == "full" else own)
    output.parent.mkdir(parents=True, exist_ok=True)
    tuning = FineTuneSettings(epochs=config.epochs, patience=config.epochs, crop=config.crop)
    settings = ModelSettings(backbone=USUAL, weights=config.weights, tuning=tuning)

    tracked = tracked_run(config.tracking_uri, experiment=MODEL_NAME, run_name="ablation")
    run: RunLog
    with tracked if config.tracking_uri else nullcontext(UNTRACKED) as run:

        def record(step: Step) -> None:
            metrics = {"accuracy": step.accuracy, "log_loss": step.log_loss}
            run.child(step.name, {"variant": step.name}, metrics)
            row = {"name": step.name, **{name: interval._asdict() for name, interval in metrics.items()}}
            recorded["steps"].append(row)
            output.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")

        compute = Compute(threads=config.threads, work=config.work)
        parts = split(dataset, split_seed=config.seed)
        ablate(parts, settings, seed=config.seed, compute=compute, console=console, on_step=record)
    console.print(f"Written: {output}")
