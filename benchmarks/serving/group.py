"""What the processes of one contender cost, as Linux counts it: CPU seconds, and memory that is theirs."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def members(group: int) -> list[Path]:
    """Return the folder in /proc of each process of a group, and of all that these have started."""
    parents, found = dict[str, str](), set[str]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, parents[folder.name], of_group, *_ = _fields(folder)
            if of_group == str(group):
                found.add(folder.name)
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    if not found:
        raise SystemExit(f"no process of the group {group} in /proc: this is measured on Linux, while it runs")
    return [Path("/proc") / pid for pid in sorted(found)]


def cpu_seconds(group: int) -> float:
    """Return the CPU seconds of all of them so far, and of those that have ended and were waited for."""
    return sum(int(ticks) for folder in members(group) for ticks in _fields(folder)[11:15]) / TICKS


def memory_mb(group: int) -> dict[str, float]:
    """Return their memory in millions of bytes: resident, and with what several of them share counted once."""
    sums = {"Rss": 0.0, "Pss": 0.0}
    for folder in members(group):
        for line in (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
            name, kilobytes = line.split()[:2]
            if name[:-1] in sums:
                sums[name[:-1]] += int(kilobytes) * 1024 / 1e6
    return {"rss_mb": round(sums["Rss"], 1), "pss_mb": round(sums["Pss"], 1)}


@contextmanager
def running(group: int) -> Iterator[None]:
    """Let a contender run that is stopped, until the block ends: while the others are measured it costs nothing."""
    signal_all(group, signal.SIGCONT)
    try:
        yield
    finally:
        signal_all(group, signal.SIGSTOP)


def signal_all(group: int, number: int) -> None:
    """Send a signal to each process of a contender."""
    for folder in members(group):
        with suppress(ProcessLookupError):
            os.kill(int(folder.name), number)


def _fields(folder: Path) -> list[str]:
    # The name of a program may hold spaces and brackets; the state stands after the last one.
    return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
