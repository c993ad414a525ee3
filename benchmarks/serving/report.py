"""What was measured, as tables: for the terminal, and for the README of the benchmarks."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contenders import OURS
from inputs import INPUTS
from targets import AT, Measured

from portfolio_shared.evaluation.sections import markdown_table


def machine() -> dict[str, str]:
    """Return what the figures depend on: the day, the commit, the processor and the versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit + changed,
        "machine": f"{os.cpu_count()} cores of {model}",
        "python": platform.python_version(),
    }


def git(*arguments: str) -> str:
    """Return what git says, or nothing where there is no repository."""
    result = subprocess.run(("git", *arguments), capture_output=True, encoding="utf-8", check=False)  # noqa: S607
    return result.stdout.strip() if result.returncode == 0 else ""


def load_table(rows: Measured, clients: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells: a row for each kind of request that was asked by many clients, or by one."""
    at_most = [str(n) for n in clients]
    headings = [
        *(f"a second, {n}" for n in at_most),
        *(f"p50 / p99 ms, {n}" for n in at_most),
        "CPU, ms",
        "CPU of ours",
        "ready, s",
        "PSS / RSS, MB",
    ]
    base = cpu_of(rows[OURS]) if OURS in rows else None
    cells = []
    for name, row in rows.items():
        if "pss_mb" not in row:
            continue
        cpu = cpu_of(row)
        cells.append(
            [
                name,
                *(answers(row.get(n)) for n in at_most),
                *(f"{row[n]['p50']:,.2f} / {row[n]['p99']:,.2f}" if n in row else "" for n in at_most),
                f"{cpu:,.3f}",
                f"{base / cpu:,.2f}" if base else "",
                f"{row['ready_seconds']:.1f}",
                f"{row['pss_mb']:.0f} / {row['rss_mb']:.0f}",
            ]
        )
    return ["", *headings], cells


def cpu_of(row: Mapping[str, Any]) -> float:
    """Return the CPU milliseconds of a request at 16 clients, or at as many as asked it."""
    cpu: float = row.get(AT, next(value for value in row.values() if isinstance(value, dict)))["cpu_ms"]
    return cpu


def answers(load: Mapping[str, float] | None) -> str:
    """Return how many were answered in a second, and the share that was refused if any was."""
    if load is None:
        return ""
    refused = f" ({load['refused_share']:.0%} refused)" if load["refused_share"] else ""
    return f"{load['a_second']:,.0f}{refused}"


def target_table(outcomes: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells: a row for each target."""
    states = {True: "met", False: "NOT MET"}
    rows = [[each["what"], f"{each['measured']:g}", each["target"], states[each["met"]]] for each in outcomes]
    return ["target", "measured", "", ""], rows


def section(project: str, recorded: Mapping[str, Any], clients: Sequence[int]) -> str:
    """Return the part of the README that a run writes of a project."""
    about = (
        f"{INPUTS[project].capitalize()}, on {recorded['date']} at {recorded['commit']}: {recorded['machine']}, "
        f"Python {recorded['python']}; the median of {recorded['rounds']} rounds of {recorded['seconds']} s in turns."
    )
    parts = [about, markdown_table(*target_table(recorded["targets"]))]
    parts.append(markdown_table(*load_table(recorded["rows"], clients)))
    inside = [[name, f"{row['ms']:.2f}"] for name, row in recorded["rows"].items() if "ms" in row]
    if inside:
        parts.append(markdown_table(["without HTTP, on one thread", "ms"], inside))
    return "\n\n".join(parts)
