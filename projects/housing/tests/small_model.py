"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from pathlib import Path
from typing import Any


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds: a quarter of the sales that ship, written to the folder."""
    from housing.data.load import SAMPLE, read_file

    place.mkdir(parents=True, exist_ok=True)
    sales = place / "sales.csv"
    read_file(SAMPLE.path).iloc[::4].to_csv(sales, index=False)
    return {"data": str(sales), "folds": 2, "threads": 1}


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
