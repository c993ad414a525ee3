"""What the services cost a month where deploy/terraform puts them, beside a host: fills docs/infrastructure.md.

    make system-design

Nothing here is measured: prices and habits come from `cloud_cost.toml`, which names their sources.
"""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portfolio_shared.evaluation.documents import fill_documents
from portfolio_shared.evaluation.sections import markdown_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "infrastructure.md"
REQUESTS_A_DAY = (1_000, 100_000, 1_000_000)
MONTH_DAYS, MONTH_HOURS, DAY = 30, 730, 86_400


def compute(requests: float, given: Mapping[str, float]) -> float:
    """Return dollars for so many requests in a month, each billed alone.

    Examples
    --------
    >>> given = dict(seconds=0.1, gib=0.5, cpu=2e-5, memory=2e-6, million=0.4)
    >>> free = dict(free_cpu=1000, free_memory=10_000, free_requests=0)
    >>> round(compute(1_000_000, given | free), 4)  # 99,000 x 2e-5 + 40,000 x 2e-6 + 0.4
    2.46
    """
    seconds = requests * given["seconds"]
    return (
        max(0.0, seconds - given["free_cpu"]) * given["cpu"]
        + max(0.0, seconds * given["gib"] - given["free_memory"]) * given["memory"]
        + max(0.0, requests - given["free_requests"]) / 1e6 * given["million"]
    )


def contents() -> tuple[dict[str, str], dict[str, str]]:
    """Return the sections and the numbers of the document."""
    stated: Mapping[str, Any] = tomllib.loads((ROOT / "benchmarks/cloud_cost.toml").read_text(encoding="utf-8"))[
        "input"
    ]
    given = {name: float(entry["value"]) for name, entry in stated.items()}
    kept = given["stored"] * given["bucket"] + given["images"] * given["registry"]
    rows = []
    for requests in REQUESTS_A_DAY:
        paid = compute(requests * MONTH_DAYS, given)
        rows.append([f"{requests:,}", _dollars(paid), _dollars(kept), _dollars(paid + kept)])
    inputs = [
        [entry["what"], f"{entry['value']:,.7f}".rstrip("0").rstrip("."), entry["source"]] for entry in stated.values()
    ]
    second = given["cpu"] + given["gib"] * given["memory"]
    return {
        "cloud-inputs": markdown_table(["assumed", "value", "source"], inputs),
        "cloud-costs": markdown_table(["requests a day, of all services", "compute", "kept", "dollars a month"], rows),
    }, {
        "host": f"${given['machine'] * MONTH_HOURS:,.0f}",
        "most": f"${given['instances'] * MONTH_DAYS * DAY * second:,.0f}",
    }


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"


def main() -> None:
    changed = fill_documents([DOCUMENT], *contents(), of="cloud.")
    sys.stdout.write(f"Written: {', '.join(map(str, changed)) or 'nothing, it is up to date'}\n")


if __name__ == "__main__":
    main()
