"""What a price costs beside a bare request: one house of which the required fields are given, the rest is filled."""

import json
import sys
from pathlib import Path

from serving_cost import Request, run

from housing.data.house import EXAMPLE

LIMITS = {"plain_ratio": 3.0, "explained_ratio": 6.0, "ready_seconds": 3.0, "resident_mb": 250.0}


def main() -> int:
    """Measure, print, write; return 1 if a limit is broken."""
    return run(
        "housing",
        about=__doc__ or "",
        requests=requests,
        ratios={"plain_ratio": "one house", "explained_ratio": "one house, explained"},
        limits=LIMITS,
    )


def requests(_: Path) -> dict[str, Request]:
    """Return the kinds of request."""
    return {"one house": predict(explain=False), "one house, explained": predict(explain=True)}


def predict(*, explain: bool) -> Request:
    """Return a request for the price of one house."""
    return Request("POST", "/v1/predictions", json.dumps({"houses": [EXAMPLE], "explain": explain}).encode())


if __name__ == "__main__":
    sys.exit(main())
