"""What a price costs beside a bare request: one house of which the required fields are given, the rest is filled."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from serving_cost import Kinds, run

from housing.serving.schemas import EXAMPLE_REQUEST


def requests(_: Path) -> Kinds:
    """Return the kinds of request."""
    body = json.loads(EXAMPLE_REQUEST.body) | {"explain": True}
    explained = replace(EXAMPLE_REQUEST, body=json.dumps(body).encode())
    return {"one house": EXAMPLE_REQUEST, "one house, explained": explained}


if __name__ == "__main__":
    ratios = {"plain_ratio": "one house", "explained_ratio": "one house, explained"}
    limits = {"plain_ratio": 3.0, "explained_ratio": 6.0, "ready_seconds": 3.0, "resident_mb": 250.0}
    sys.exit(run("housing", __doc__, requests, ratios=ratios, limits=limits))
