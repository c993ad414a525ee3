"""What the repository's tests must know of this project: a training of seconds, a poor model, a request for everything.

Imports are inside the functions: a test that only trains needs no service.
"""

from pathlib import Path
from typing import Any

MOST_ROWS = 1500


def training(place: Path) -> dict[str, Any]:
    """Return the settings of a training that takes seconds: every so many rows of those that ship."""
    import json

    from new_project.config import ModelSettings
    from new_project.data.load import SAMPLE
    from portfolio_shared.data.tables import open_text

    place.mkdir(parents=True, exist_ok=True)
    with open_text(SAMPLE.path) as text:
        heading, *rows = text.readlines()
    kept = rows[:: -(-len(rows) // MOST_ROWS)]
    (place / "table.csv").write_text("".join([heading, *kept]), encoding="utf-8")
    settings = {"settings": ModelSettings(iterations=80, learning_rate=0.15, depth=4).model_dump()}
    (place / "tuned.json").write_text(json.dumps(settings), encoding="utf-8")
    return {"data": str(place / "table.csv"), "tuned": place / "tuned.json"}


def poor(trained: Any) -> Any:
    """Return a predictor that has learned next to nothing: one tree, and a ridge that allows no slope."""
    from new_project.config import ModelSettings
    from new_project.models.fit import fit

    settings = ModelSettings(ridge=1e9, iterations=1, learning_rate=0.01, depth=1)
    return fit(trained.split, settings, trained.candidates[trained.chosen])


def full_request(trained: Any) -> Any:
    """Return a request for everything that the service can answer."""
    del trained
    from new_project.serving.schemas import EXAMPLE_REQUEST

    return EXAMPLE_REQUEST
