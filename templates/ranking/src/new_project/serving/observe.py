"""What is watched: the truth that feedback brings, and the columns that are compared with the training."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from new_project.config import MODEL_NAME
from new_project.models.predictor import Predictor
from new_project.serving.schemas import Item, ItemId
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import Columns, Measure, RowColumns, Watch
from portfolio_shared.serving.bounds import Items
from portfolio_shared.serving.schemas import Strict

if TYPE_CHECKING:
    from new_project.data.load import Split

DECIMALS = {"history_length": 0, "unknown_share": 2, "popularity": 1}
"""Columns, and to how many decimals they are kept; popularity is the mean of log(people who chose an item)."""
MOST_CHOSEN = 100  # items, in the month or less that a prediction is kept


class Truth(Strict):
    """What somebody chose after an answer."""

    chosen: Annotated[list[ItemId], Items(1, 500)] = Field(
        description="Ids of all items chosen since: what is said later replaces what was said before"
    )


def input_schema() -> dict[str, Any]:
    """Return what one request holds, for the manifest of a bundle."""
    return Item.model_json_schema()


def reference(predictor: Predictor, split: "Split") -> Columns:
    """Return the columns of the histories of all people; each is sorted, so that no row is anybody's."""
    import numpy as np

    histories = [[split.items[number].id for number in part] for part in split.before_test.histories() if len(part)]
    rows, rng = [_columns_of(predictor, history) for history in histories], np.random.default_rng(0)
    return {name: rng.permutation(np.sort([row.get(name, math.nan) for row in rows])) for name in DECIMALS}


def columns(bundle: Path) -> RowColumns:
    """Return what gives the columns of each logged request, with the items of a bundle."""
    predictor = Predictor.load(bundle)
    return lambda row: [_columns_of(predictor, _history(row))]


def _columns_of(predictor: Predictor, history: Sequence[str]) -> dict[str, float]:
    """Return the columns of one history; an empty one says nothing of anybody, and has none."""
    ids = set(history)
    counts = [int(predictor.counts[predictor.position[id_]]) for id_ in ids if id_ in predictor.position]
    if not ids:
        return {}
    found = {"history_length": float(len(ids)), "unknown_share": 1 - len(counts) / len(ids)}
    found |= {"popularity": fmean(math.log(count) for count in counts)} if counts else {}
    return {name: round(value, DECIMALS[name]) for name, value in found.items()}


def _history(row: LoggedPrediction) -> list[str]:
    history: list[str] = json.loads(row.request)["history"]
    return history


def measure(row: LoggedPrediction, _index: int, truth: Truth) -> dict[str, float]:
    """Return which share of what was chosen since, and was not in the history, had been recommended."""
    shown = {each["item"]["item_id"] for each in json.loads(row.response)["recommendations"]}
    new = set(truth.chosen) - set(_history(row))
    return {"found": len(new & shown) / len(new)} if new else {}


def doubt(_row: LoggedPrediction, _index: int, truth: Truth) -> str | None:
    """Return why nobody can have chosen all this, or None."""
    return f"more than {MOST_CHOSEN} items" if len(set(truth.chosen)) > MOST_CHOSEN else None


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=columns,
    measures={"found": Measure("chosen items that had been recommended", None, "higher")},
    measure=measure,
    loss=lambda *_: None,  # nobody saw the other model's list: what was chosen of it cannot be known
    loss_label="",
    about=lambda row, _: row.subject or json.dumps(_history(row)),
    doubt=doubt,
)
