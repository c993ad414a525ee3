"""What every benchmark does with what it has measured: compare it with limits, print those, write the results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from portfolio_shared.evaluation.tables import terminal_table

RESULTS = Path(__file__).parent / "results"
Limit = dict[str, Any]


def check_limits(measured: Mapping[str, float], limits: Mapping[str, float], *, least: bool = False) -> list[Limit]:
    """Return for each limit what was measured and whether that is at most the limit, or at least where `least`.

    What was measured is not rounded: 0.934985 does not reach 0.935.
    """
    sense = "at least" if least else "at most"
    return [
        {
            "what": what,
            "measured": measured[what],
            "limit": f"{sense} {limit:g}",
            "kept": measured[what] >= limit if least else measured[what] <= limit,
        }
        for what, limit in limits.items()
    ]


def finish(console: Console, path: Path, recorded: Mapping[str, object], limits: Sequence[Limit]) -> int:
    """Write the results, print the limits, and return the exit status: 1 if one of them is broken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    states = {True: "kept", False: "BROKEN"}
    rows = [[row["what"], f"{row['measured']:g}", row["limit"], states[row["kept"]]] for row in limits]
    if rows:
        console.print(terminal_table("Limits", ["what", "measured", "limit", ""], rows))
    console.print(f"Written: {path}")
    return 0 if all(row["kept"] for row in limits) else 1
