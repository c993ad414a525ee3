"""What the API accepts and returns: bounds and meaning, and predictions in these terms."""

import base64
import io
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from new_project.models.predictor import Prediction, Predictor
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict


class Item(Strict):
    """One picture."""

    picture: str = Field(min_length=1, description="A JPEG, PNG or WebP file in base64, as `base64 -w0 FILE` writes it")


def _example() -> ExampleRequest:
    """Return a request with a picture made here: a service has no photographs before it has a model."""
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "JPEG")
    picture = base64.b64encode(stream.getvalue()).decode("ascii")
    return ExampleRequest("/v1/classifications", json.dumps({"picture": picture}).encode())


EXAMPLE_REQUEST = _example()


@dataclass(slots=True)
class LabelProbability:
    """A label and its calibrated probability."""

    label: str
    probability: float


class Result(BaseModel):
    """What a picture shows."""

    predictions: list[LabelProbability] = Field(description="All labels, the most probable first")
    label_set: list[str] = Field(
        description="Labels that are to hold the right one in a share `coverage` of pictures: see README.md"
    )
    coverage: float
    unsure: Literal["unfamiliar", "ambiguous"] | None = Field(
        description="Why no label should be relied on: unlike all training pictures, or more than one label fits"
    )
    distance: float = Field(description="How unlike the training pictures it is; above 1 it is unfamiliar")


class ClassificationResponse(Result, Answered):
    """The answer with its id and the model."""


class LabelsResponse(Answered):
    """What a page needs to know before it sends a picture."""

    labels: list[str]
    examples: list[str] = Field(description="Names of pictures to try: GET /v1/examples/NAME")


def result_of(prediction: Prediction, predictor: Predictor) -> Result:
    """Return a prediction as the API shows it."""
    order = np.argsort(-np.array(prediction.probabilities), kind="stable").tolist()
    return Result(
        predictions=[LabelProbability(predictor.labels[label], prediction.probabilities[label]) for label in order],
        label_set=[predictor.labels[label] for label in prediction.label_set],
        coverage=predictor.rules.coverage,
        unsure=prediction.unsure,
        distance=prediction.distance,
    )
