"""What the environment tells the pipeline. It is read once, when the definitions are loaded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Settings:
    """Where the projects' commands are, what they are given, and when.

    Attributes
    ----------
    commands
        Folder of the projects' commands: they have an environment of their own.
    folder
        Where the commands run; what they leave lies in its `.state`.
    data
        What to train on, as the commands know it: auto, sample, full or a path.
    cron
        When the schedule fires, in UTC. Every time it looks at the window that ends then.
    window
        How far back that look goes. As long as the time between two, so that the budget of false alarms holds.
    train_days
        Days of the week, from 0 for Monday, on which the other steps run before: data, tables, a training.
    retry_seconds
        How long a step waits before it is tried again; the second time twice as long.
    """

    commands: Path
    folder: Path
    data: str
    cron: str
    window: str
    train_days: frozenset[int]
    retry_seconds: float


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; what is not named has a default.

    Raises
    ------
    ValueError
        If a value is none; the message names the variable.
    """

    def text(name: str, default: str) -> str:
        return environment.get(f"PIPELINE_{name}") or default

    commands = Path(text("COMMANDS", ".venv/bin")).resolve()
    if not commands.is_dir():
        raise ValueError(
            f"PIPELINE_COMMANDS={commands}: expected the folder of the projects' commands (`make setup-start`)"
        )
    days = text("TRAIN_DAYS", "mon").lower().split(",")
    if unknown := [day for day in days if day not in DAYS]:
        raise ValueError(f"PIPELINE_TRAIN_DAYS: {unknown[0]!r} is no day: expected some of {','.join(DAYS)}")
    window = text("WINDOW", "24h")
    if not re.fullmatch(r"\d+(\.\d+)?[smhd]?", window):
        raise ValueError(f"PIPELINE_WINDOW={window!r}: expected a number with s, m, h or d, such as 24h")
    seconds = text("RETRY_SECONDS", "60")
    if not seconds.isdecimal():
        raise ValueError(f"PIPELINE_RETRY_SECONDS={seconds!r}: expected whole seconds")
    return Settings(
        commands=commands,
        folder=Path(text("FOLDER", ".")).resolve(),
        data=text("DATA", "auto"),
        cron=text("CRON", "17 3 * * *"),
        window=window,
        train_days=frozenset(DAYS.index(day) for day in days),
        retry_seconds=float(seconds),
    )
