"""Looks at a service from outside: one window of its predictions against what its model learned from."""

from dataclasses import dataclass
from pathlib import Path

from portfolio_shared.operations.watch import Watch


@dataclass(frozen=True)
class Plan:
    """What is looked at, how often, and where the findings go.

    Attributes
    ----------
    project
        Name in files, metrics and reports.
    model
        Whose predictions are meant.
    log
        Address of the prediction log.
    bundle
        Folder of the model; none: from the registry, of the version that answered most.
    window
        Length of a window in seconds.
    every
        Seconds from one look to the next; none: one look.
    budget, projects
        False alarms a month over so many projects that are put up with.
    address
        Host and port of a page with the newest report.
    """

    project: str
    model: str
    log: str
    bundle: Path | None
    tracking_uri: str
    output: Path
    window: float
    every: float | None
    budget: float
    projects: int
    address: tuple[str, int] | None


def monitor(watch: Watch, plan: Plan) -> int:
    """Look once, or again and again; return 0 if all is well, 1 for an alarm, 2 for too few rows to judge."""
    raise NotImplementedError(watch, plan)
