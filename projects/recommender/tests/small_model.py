"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds; it may use the folder."""
    del place
    return {"data": "sample", "threads": 1}


def poor(trained: Any) -> Any:
    """Return a predictor that has learned nothing: its films lie in random directions."""
    import numpy as np

    model = trained.predictor.model
    noise = np.random.default_rng(0).normal(size=model.factors.shape).astype(model.factors.dtype)
    return replace(trained.predictor, model=replace(model, factors=noise))


def full_request() -> Any:
    """Return a request for everything that the service can answer."""
    from recommender.serving.schemas import EXAMPLE_REQUEST

    return EXAMPLE_REQUEST
