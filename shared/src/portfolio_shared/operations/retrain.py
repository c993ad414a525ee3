"""Trains again, with what feedback teaches; the gate decides what becomes of the model."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from portfolio_shared.config import TrainSettings
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.operations.lessons import Lessons, collect
from portfolio_shared.operations.watch import Watch
from portfolio_shared.operations.window import open_log
from portfolio_shared.tracking.turns import TakenError, only_one
from portfolio_shared.training import Project, Why, run

ENOUGH = 30
"""Truths that must be believed before a training is worth it."""
DOUBTFUL = 0.1
"""Share of the truths that are not believed from which on a person is told to look."""
PASSED, TOO_LITTLE, TAKEN, REFUSED = 0, 2, 4, 5
"""Exit codes. 3 is an error, and so is 1, with which Python and Docker end where nothing was decided."""


@dataclass(frozen=True)
class Plan:
    """Where feedback is, and how a retraining goes.

    Attributes
    ----------
    watch
        What the project says of its predictions.
    log
        Address of the prediction log.
    why
        What started it; for the record.
    may_promote
        Whether a model that passes becomes champion without a person.
    anyway
        Whether to train with less than `ENOUGH`.
    state
        Folder of the lock.
    """

    watch: Watch
    log: str
    why: Why
    may_promote: bool
    anyway: bool
    state: Path


def retrain(project: Project[Any, Any, Any], config: TrainSettings, plan: Plan, console: Console | None = None) -> int:
    """Train with the feedback of now; return `PASSED`, `TOO_LITTLE`, `TAKEN` or `REFUSED`.

    Raises
    ------
    ValueError
        Without a registry: there is nothing to compare with.
    StoreError
        If there is no prediction log, or it cannot be used.
    TrackingUnavailable, RegistryError
        As `portfolio_shared.training.run`.
    """
    console = console or Console(markup=False, highlight=False)
    if not config.tracking_uri:
        raise ValueError("retraining compares with the champion: name the MLflow server by --tracking-uri")
    try:
        with only_one(project.name, plan.state, tracking_uri=config.tracking_uri):
            return _retrain(project, config, plan, console)
    except TakenError as taken:
        console.print(f"{project.name}: {taken}", soft_wrap=True)
        return TAKEN


def _retrain(project: Project[Any, Any, Any], config: TrainSettings, plan: Plan, console: Console) -> int:
    with closing(open_log(plan.log)) as store:
        lessons = collect(store, plan.watch, until=time.time())
    tell(project.name, lessons, console)
    believed = len(lessons.learned) + len(lessons.held_back)
    if believed < ENOUGH and not plan.anyway:
        nameless = not any(lesson.client for lesson in (*lessons.learned, *lessons.held_back))
        why = "; without a subject key all who give feedback count as one" if nameless and lessons.counts else ""
        line = f"{project.name}: {believed} truths are believed, fewer than {ENOUGH}{why}: wait for more, or --anyway"
        console.print(line, soft_wrap=True)
        return TOO_LITTLE
    result = run(project, config, console, lessons=lessons, why=plan.why, may_promote=plan.may_promote)
    return REFUSED if result.decision is None or result.decision.outcome == "refused" else PASSED


def tell(name: str, lessons: Lessons, console: Console) -> None:
    """Print what became of every truth, and a warning if many are not believed."""
    total = sum(lessons.counts.values())
    most_first = sorted(lessons.counts.items(), key=lambda count: -count[1])
    rows = [[what, f"{number:,}", f"{number / total:.0%}"] for what, number in most_first]
    if rows:
        console.print(terminal_table(f"What became of {total:,} truths", ["", "number", "share"], rows))
    if lessons.doubted > DOUBTFUL * total:
        share = f"{lessons.doubted:,} of {total:,} truths ({lessons.doubted / total:.0%}) are not believed"
        console.print(f"{name}: WARNING: {share}: false feedback, or a world far outside of the model", soft_wrap=True)
