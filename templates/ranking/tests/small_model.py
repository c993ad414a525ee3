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
    """Return a predictor that has learned nothing: its weights are noise."""
    import numpy as np

    weights = trained.predictor.weights
    noise = np.random.default_rng(0).normal(size=weights.shape).astype(weights.dtype)
    return replace(trained.predictor, weights=noise)


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer: reasons, and an item that is not known."""
    import json

    from portfolio_shared.serving.schemas import ExampleRequest

    history = [item.id for item in trained.predictor.items[:3]]
    return ExampleRequest("/v1/recommendations", json.dumps({"history": [*history, "?"], "k": 5}).encode())
