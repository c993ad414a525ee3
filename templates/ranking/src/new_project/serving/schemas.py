"""What the API accepts and returns: bounds and meaning, and predictions in these terms."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from new_project.data.items import CatalogItem
from new_project.models.predictor import Prediction
from portfolio_shared.serving.bounds import AtMost, Items
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict

ItemId = Annotated[str, Field(min_length=1, max_length=200, description="As the data and /v1/items have it")]
MOST = 10_000
"""Items of a list whatever the settings are."""
EXAMPLE: list[str] = json.loads(Path(__file__).with_name("example.json").read_text(encoding="utf-8"))
"""A history of ids of the data, read here because ids may hold anything: quotes, or what looks like code."""


class Item(Strict):
    """One history to recommend for; an empty one gets what most people chose."""

    history: Annotated[list[ItemId], Items(0, MOST, setting="max_history")] = Field(
        description="Ids, oldest first: later ones count more. At most the setting MAX_HISTORY, by default 500",
        examples=[EXAMPLE],
    )
    k: Annotated[int, Field(ge=1, le=1000, description="How many; at most the setting MAX_K"), AtMost("max_k")] = 10


EXAMPLE_REQUEST = ExampleRequest("/v1/recommendations", json.dumps({"history": EXAMPLE, "k": 5}).encode())


class ItemsQuery(Strict):
    """Words to search for; without any the most chosen items."""

    query: str = Field(default="", max_length=100, description="Words of a title, or their beginnings")
    limit: int = Field(default=8, ge=1, le=50, description="How many items at most")


@dataclass(slots=True)
class Found:
    """An item as people know it."""

    item_id: str
    title: str


@dataclass(slots=True)
class Reason:
    """An item of the history, and what it adds to the score."""

    item: Found
    adds: float


@dataclass(slots=True)
class Recommendation:
    """An item and its score: what the reasons add, and `others`, what the rest of the history adds, sum to it."""

    item: Found
    score: float
    reasons: list[Reason]
    others: float


class Result(BaseModel):
    """The answer to one history, best first."""

    popular: bool = Field(description="Nothing is known of the history: this is what most people chose")
    unknown: list[str] = Field(description="Ids of the history that the model does not know")
    recommendations: list[Recommendation]


class RecommendationResponse(Result, Answered):
    """The answer with its id and the model."""


class ItemsResponse(Answered):
    """Items that fit a search, the most chosen first."""

    items: list[Found]


def found(item: CatalogItem) -> Found:
    """Return an item as the API shows it."""
    return Found(item.id, item.title)


def result_of(prediction: Prediction) -> Result:
    """Return a prediction as the API shows it."""
    return Result(
        popular=prediction.basis == "popularity",
        unknown=list(prediction.unknown),
        recommendations=[
            Recommendation(
                found(each.item),
                each.score,
                [Reason(found(reason.item), reason.adds) for reason in each.reasons],
                each.others,
            )
            for each in prediction.recommendations
        ],
    )
