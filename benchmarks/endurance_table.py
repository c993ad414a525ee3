"""What docs/reliability.md states of a record of `endurance.py`."""

from collections.abc import Mapping
from typing import Any

from record import RESULTS

from portfolio_shared.evaluation.sections import markdown_table
from project_table import ROOT

RECORD, RELIABILITY = RESULTS / "endurance.json", ROOT / "docs/reliability.md"
ROWS = {
    "sent": "sent",
    "answered": "answered with 200",
    "refused": "refused (408, 429, 503)",
    "wrong input": "wrong on purpose (415, 422)",
    "asked again": "asked again while a service was started anew",
    "lost": "lost",
    "log rows missing": "rows of the prediction log that are missing",
    "memory_mb": "memory after the last start and at the end, MB",
    "promotions": "promotions",
    "registry faults": "faults of the registry",
    "full disks": "full disks",
    "starts": "starts",
}
"""What a record has of each service -> what the document calls it."""


def sections(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the table of a record."""
    services = [
        {**row, **row["turns"], "memory_mb": "{:,}, {:,}".format(*row["memory_mb"])} for row in recorded["services"]
    ]
    rows = [
        [said, *(f"{each[name]:,}" if name != "memory_mb" else each[name] for each in services)]
        for name, said in ROWS.items()
    ]
    head = f"{recorded['minutes']:g} minutes, {recorded['cores']} cores"
    return {"endurance": markdown_table([head, *(row["service"] for row in services)], rows)}
