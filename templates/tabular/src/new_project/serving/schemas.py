"""What the API accepts and returns; the fields of a row are those of `new_project.data.row`."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from new_project.data.columns import schema
from new_project.data.row import Row as Item
from new_project.models.predictor import Prediction
from portfolio_shared.serving.bounds import Items
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict

__all__ = ["EXAMPLE_REQUEST", "FieldDescription", "FieldsResponse", "Item", "PredictionRequest", "PredictionResponse"]

MAX_ITEMS = 1000

EXAMPLE_REQUEST = ExampleRequest("/v1/predictions", json.dumps({"items": [schema().example]}).encode())


class PredictionRequest(Strict):
    """One to a thousand rows to predict for."""

    items: Annotated[list[Item], Items(1, MAX_ITEMS)] = Field(examples=[[schema().example]])


class PredictionResponse(Answered):
    """Predictions in the order of the request's rows."""

    predictions: list[Prediction]


class FieldDescription(BaseModel):
    """What a form needs to know of one field; of a number its range in the rows that were learned from."""

    name: str
    label: str
    kind: Literal["number", "category", "date"]
    whole: bool
    minimum: float | None
    maximum: float | None
    choices: list[str]
    typical: float | str | None


class FieldsResponse(Answered):
    """What is predicted, and every field."""

    target: str
    fields: list[FieldDescription]
