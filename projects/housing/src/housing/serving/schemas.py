"""What the API accepts and returns; the fields of a house are those of `housing.data.house`."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from housing.data.house import EXAMPLE, House
from housing.models.predictor import Prediction
from portfolio_shared.serving.bounds import Items
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict

MAX_HOUSES = 1000

EXAMPLE_REQUEST = ExampleRequest("/v1/predictions", json.dumps({"houses": [EXAMPLE]}).encode())


class PredictionRequest(Strict):
    """One to a thousand houses to price."""

    houses: Annotated[list[House], Items(1, MAX_HOUSES)] = Field(examples=[[EXAMPLE]])
    explain: bool = Field(default=False, description="Also return contributions and comparable sales")


class PredictionResponse(Answered):
    """Predictions in the order of the request's houses."""

    predictions: list[Prediction]


def to_json(answer: PredictionResponse) -> bytes:
    """Write an answer; what was filled, most of its bytes, is written by what filled it."""
    before, *texts = answer.__pydantic_serializer__.to_json(answer, exclude=_FILLED).split(_AFTER)
    lists = (prediction.filled.json() for prediction in answer.predictions)
    parts = (b'"filled":%b,%b%b' % (own.encode(), _AFTER, text) for own, text in zip(lists, texts, strict=True))
    return before + b"".join(parts)


_FILLED = {"predictions": {"__all__": {"filled"}}}
_AFTER = b'"warnings":'  # the field after `filled`; in a text the quotes would be escaped


class FieldChoice(BaseModel):
    """One code of a category."""

    code: str
    label: str


class FieldDescription(BaseModel):
    """What a form needs to know of one field."""

    name: str
    label: str
    help: str
    unit: str | None
    kind: Literal["integer", "number", "category", "ordinal"]
    required: bool
    minimum: float | None
    maximum: float | None
    choices: list[FieldChoice]
    typical: float | str
    group: str


class FieldsResponse(Answered):
    """Every field, required ones first."""

    fields: list[FieldDescription]
