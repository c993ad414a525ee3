"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from pathlib import Path
from typing import Any


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds; it may use the folder."""
    del place
    return {"data": "sample", "folds": 2, "threads": 1}


def poor(trained: Any) -> Any:
    """Return a predictor that has learned next to nothing: three trees, and a ridge that allows no slope."""
    from housing.config import LinearSettings, ModelSettings, TreeSettings
    from housing.models.fit import fit

    settings = ModelSettings(linear=LinearSettings(ridge=1e5), trees=TreeSettings(iterations=3))
    return fit(trained.split, settings, trained.candidates[trained.chosen], threads=1)


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer."""
    del trained
    import json

    from housing.data.house import EXAMPLE
    from portfolio_shared.serving.schemas import ExampleRequest

    return ExampleRequest("/v1/predictions", json.dumps({"houses": [EXAMPLE], "explain": True}).encode())
