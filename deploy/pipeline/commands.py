"""Runs a command of a project in the projects' own environment; its exit status becomes an outcome or a failure."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dagster import Failure

LINES = 40  # of what a command says that stay with the result; the page has all of them under "stdout"
STOP_SECONDS = 20.0
OURS = ("DAGSTER_", "PIPELINE_", "PYTHON", "VIRTUAL_ENV")
"""What variables start with that are the pipeline's and not the commands'."""


@dataclass(frozen=True)
class Codes:
    """What exit statuses say that are no failures, and which failures may pass by themselves.

    The statuses are those of docs/operations.md.
    """

    outcomes: Mapping[int, str]
    passing: frozenset[int]


DATA = Codes({0: "done"}, frozenset({1}))
PLAIN = Codes({0: "done"}, frozenset())
RETRAIN = Codes({0: "passed", 2: "too little feedback", 4: "another one runs", 5: "refused"}, frozenset())
MONITOR = Codes({0: "well", 1: "alarm", 2: "too few rows"}, frozenset({3}))
"""Failures of a download and of the monitor may pass, and to do either again costs little and changes nothing. A
training is not repeated: that could register a second version."""


@dataclass(frozen=True)
class Ended:
    """A command that ended as it may: its outcome, the last lines of what it said, and how long it took."""

    outcome: str
    said: tuple[str, ...]
    seconds: float


def run(program: Path, *arguments: str, folder: Path, codes: Codes) -> Ended:
    """Run a command to its end and show what it writes.

    Raises
    ------
    Failure
        If its exit status is no outcome. Retries are allowed where the reason may pass by itself: a server is away.
    """
    command = [str(program), *arguments]
    print("$", *command, flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    said: deque[str] = deque(maxlen=LINES)
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    try:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            said.append(line.rstrip())
        code = process.wait()
    finally:
        _stop(process)  # where this run is canceled, the command ends with it
    if code not in codes.outcomes:
        last = next((line for line in reversed(said) if line), "it said nothing")
        raise Failure(
            f"{program.name} {arguments[0]} ended with exit status {code}: {last}",
            metadata={"exit status": code, "command": " ".join(command)},
            allow_retries=code in codes.passing,
        )
    return Ended(codes.outcomes[code], tuple(said), time.monotonic() - started)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
