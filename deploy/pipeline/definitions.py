"""The steps of every project, and the one schedule that runs all of them; Dagster loads this file."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dagster import (
    AssetKey,
    AssetSelection,
    DefaultScheduleStatus,
    Definitions,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    define_asset_job,
    definitions,
    in_process_executor,
)
from settings import Settings, read_settings
from steps import key_of, names_of, steps_of

from project_table import Project, projects


def define(settings: Settings, table: Sequence[Project]) -> Definitions:
    """Return the assets of all projects, the job that has them, and its schedule."""
    job = define_asset_job("steps", AssetSelection.all(), executor_def=in_process_executor)

    def due(context: ScheduleEvaluationContext) -> Iterator[RunRequest]:
        tick = context.scheduled_execution_time
        for project in table:
            for name, keys in selections(project, settings, tick).items():
                # Of one key there is one run: however often it ticks, a day has one training.
                when = f"{tick.astimezone(UTC):%Y-%m-%d}" if name == "train" else tick.isoformat()
                yield RunRequest(
                    run_key=f"{name} {project.name} {when}",
                    asset_selection=keys,
                    tags={"why": "schedule", "project": project.name},
                )

    schedule = ScheduleDefinition(
        name="every_project",
        job=job,
        cron_schedule=settings.cron,
        execution_timezone="UTC",
        execution_fn=due,
        default_status=DefaultScheduleStatus.RUNNING,
        description="Every tick runs each monitor; the first on a day of PIPELINE_TRAIN_DAYS trains before.",
    )
    return Definitions(
        assets=[step for project in table for step in steps_of(project, settings)],
        jobs=[job],
        schedules=[schedule],
        executor=in_process_executor,
    )


def selections(project: Project, settings: Settings, tick: datetime) -> dict[str, list[AssetKey]]:
    """Return what a tick of the schedule runs of a project: its monitor, and on days of training what comes before.

    These are two runs: where a training fails, the monitor must not be left out.
    """
    *before, monitor = (key_of(project, step) for step in names_of(project))
    training = tick.astimezone(UTC).weekday() in settings.train_days
    return ({"train": before} if training else {}) | {"monitor": [monitor]}


@definitions
def defs() -> Definitions:
    """Return what the environment asks for, when Dagster loads it."""
    return define(read_settings(os.environ), projects())
