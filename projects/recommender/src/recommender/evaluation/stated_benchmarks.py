"""The numbers that prose names of what the commands in benchmarks/ recorded."""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recommender.evaluation import scale
from recommender.evaluation.tables import percent, span, three

Recorded = Mapping[str, Any]

HOURS_A_MONTH, MACHINES, CORES = 730, 2, 2  # two small machines: one may fail
LISTS_A_DAY = 100_000
SECONDS_A_DAY = 86_400


def of_benchmarks(results: Path) -> dict[str, str]:
    """Return the numbers of the benchmarks whose records are there."""
    parts: dict[str, Callable[[Recorded], dict[str, str]]] = {
        "recommender.json": _of_splits,
        "recommender_serving.json": _of_serving,
        "recommender_large.json": _of_large,
        "recommender_privacy.json": _of_privacy,
        "recommender_scale.json": scale.numbers,
    }
    found: dict[str, str] = {}
    for name, numbers in parts.items():
        if (path := results / name).is_file():
            found |= numbers(json.loads(path.read_text(encoding="utf-8")))
    if (path := results.parent / "system_design.toml").is_file():
        price = tomllib.loads(path.read_text(encoding="utf-8"))["assumed"]["core_hour"]["value"]
        found["month"] = f"${MACHINES * CORES * HOURS_A_MONTH * price:,.0f}"
    return found


def _of_splits(recorded: Recorded) -> dict[str, str]:
    served = {row["split"]: row for row in recorded["rows"] if row["served"]}
    found: dict[str, str] = {}
    for name, row in served.items():
        found |= {
            f"{name}_ndcg": three(row["ndcg"]),
            f"{name}_interval": span(row["ndcg"]),
            f"{name}_users": f"{row['users']:,}",
        }
    return {
        **found,
        "random_limit": f"{recorded['limits']['random']:.3f}",
        "random_two": f"{served['random']['ndcg']['estimate']:.2f}",
        "flattery": f"{served['random']['ndcg']['estimate'] / served['time']['ndcg']['estimate']:.1f}",
    }


def _of_serving(recorded: Recorded) -> dict[str, str]:
    ours = recorded["rows"]["ours"]
    busy = LISTS_A_DAY / SECONDS_A_DAY * ours["16"]["cpu_ms"] / 1000
    return {
        "machine": recorded["machine"],
        "a_second": f"{ours['16']['a_second']:,.0f}",
        "p50": f"{ours['1']['p50']:.2f}",
        "p99_alone": f"{ours['1']['p99']:.1f}",
        "p50_loaded": f"{ours['16']['p50']:.0f}",
        "p99": f"{ours['16']['p99']:.0f}",
        "cpu_ms": f"{ours['16']['cpu_ms']:.2f}",
        "memory": f"{ours['rss_mb']:.0f}",
        "a_day": f"{LISTS_A_DAY:,}",
        "busy": percent(busy, 2),
        "busy_1000": f"{1000 * busy:.1f}",
    }


def _of_large(recorded: Recorded) -> dict[str, str]:
    fit = next(row for row in recorded["models"] if row["name"] == recorded["chosen"])
    return {
        "large_ratings": f"{recorded['ratings']:,}",
        "large_seconds": f"{fit['fit_seconds']:.0f}",
        "large_measured": f"{recorded['users_measured']:,}",
    }


def _of_privacy(recorded: Recorded) -> dict[str, str]:
    rows = recorded["rows"]
    exact, served = rows[0], next(row for row in rows if row["served"])
    return {
        "sample_everybody": f"{recorded['sample']['members'] + recorded['sample']['non_members']:,}",
        "read_exact": percent(exact["read_completely"]),
        "read_served": percent(served["read_completely"]),
        "read_people": f"{served['n_read']:,}",
        "read_share": percent(served["share_read"]),
        "guess_member": percent(served["precision_members"]),
        "guess_other": percent(served["precision_non_members"]),
    }
