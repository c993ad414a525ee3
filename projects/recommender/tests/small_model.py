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


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer: the films are of those that the model has seen."""
    import json

    from portfolio_shared.serving.schemas import ExampleRequest

    history = [{"film_id": film.id, "rating": 4.5} for film in trained.predictor.catalogue.films[:3]]
    return ExampleRequest("/v1/recommendations", json.dumps({"history": history, "diversity": 0.3}).encode())
