"""Serve the definitions and run the commands; before that, call failed what the runner before this one has left.

A run is a process of the runner and ends with it, but stays "started" in what Dagster keeps. Its own monitoring cannot
see that: the launcher that is used has no check for it. Without this such a run keeps all others in the queue.

Arguments are those of `dagster api grpc`.
"""

import os
import sys
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def main() -> None:
    """Look for runs that were in progress, then become the server."""
    with DagsterInstance.get() as instance:
        for run in instance.get_runs(RunsFilter(statuses=IN_PROGRESS)):
            instance.report_run_failed(run, "The runner was stopped while this was in progress: start it again.")
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(dagster, [dagster, "api", "grpc", *sys.argv[1:]])  # noqa: S606 - the one beside this Python


if __name__ == "__main__":
    main()
