"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any


def training(_place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds."""
    return {"data": "sample"}


def poor(trained: Any) -> Any:
    """Return a predictor that sees as much and names it wrongly: each label has the weights of the one before."""
    import numpy as np

    head = trained.predictor.head
    wrong = replace(head, weight=np.roll(head.weight, 1, axis=0), bias=np.roll(head.bias, 1))
    return replace(trained.predictor, head=wrong)


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer: a photograph of the test."""
    import base64
    import json

    from portfolio_shared.serving.schemas import ExampleRequest

    picture = base64.b64encode(next(iter(trained.predictor.examples.values()))).decode("ascii")
    return ExampleRequest("/v1/classifications", json.dumps({"picture": picture}).encode())
