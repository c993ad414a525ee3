"""The line of every project, and the one schedule that runs all of them; Dagster loads this file."""

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
    in_process_executor,
)
from settings import Settings, read_settings
from steps import key_of, names_of, steps_of

from project_table import Project, projects


def define(settings: Settings, table: Sequence[Project]) -> Definitions:
    """Return the assets of all projects, the job that has them, and its schedule."""
    job = define_asset_job("line", AssetSelection.all(), executor_def=in_process_executor)

    def due(context: ScheduleEvaluationContext) -> Iterator[RunRequest]:
        tick = context.scheduled_execution_time
        for project in table:
            for name, keys in selections(project, settings, tick).items():
                yield RunRequest(
                    run_key=f"{name} {project.name} {tick.isoformat()}",
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
        description="Every tick looks at each service; on the days of PIPELINE_TRAIN_DAYS each is trained before.",
    )
    return Definitions(
        assets=[step for project in table for step in steps_of(project, settings)],
        jobs=[job],
        schedules=[schedule],
        executor=in_process_executor,
    )


def selections(project: Project, settings: Settings, tick: datetime) -> dict[str, list[AssetKey]]:
    """Return what a tick of the schedule runs of a project: a look, and on days of training what comes before it.

    These are two runs: where a training fails, the look must not be left out.
    """
    *before, look = (key_of(project, step) for step in names_of(project))
    training = tick.astimezone(UTC).weekday() in settings.train_days
    return ({"train": before} if training else {}) | {"look": [look]}


defs = define(read_settings(os.environ), projects())
