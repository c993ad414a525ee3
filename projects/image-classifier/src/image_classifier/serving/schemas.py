"""What the API accepts and returns: bounds and meaning, and the model's predictions in these terms."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from image_classifier.data.images import Code, ImageError
from image_classifier.data.preprocessing import CropBox
from image_classifier.models.predictor import Prediction
from image_classifier.serving.heatmap import heat_picture
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict

MAX_TOP_K = 1000

STATUS: dict[Code, int] = {
    "empty": 422,
    "too_many_bytes": 413,
    "not_an_image": 415,
    "unsupported_format": 415,
    "too_small": 422,
    "too_many_pixels": 413,
    "too_many_frames": 413,
    "truncated": 422,
    "damaged": 422,
}
"""HTTP status of each reason for which a file is not read."""

UNFAMILIAR = "The picture is unlike those the model has learned from: it may show none of the labels."


class Options(Strict):
    """What is wanted of each picture; in the query or as parts of the form."""

    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K, description="How many labels, most probable first")
    heat: bool = Field(default=False, description="Whether to draw where the evidence for the first label lies")


BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "additionalProperties": False,
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"},
                        "description": "Pictures: JPEG, PNG, WebP, GIF; at most the setting MAX_FILES, by default 32",
                    },
                    **Options.model_json_schema()["properties"],
                },
            }
        }
    },
}
"""The body as /docs shows it: it is read by `read_form`, which FastAPI does not know."""


def _example_request() -> ExampleRequest:
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "JPEG")
    head = '--example\r\nContent-Disposition: form-data; name="files"; filename="example.jpg"\r\n\r\n'
    body = head.encode() + stream.getvalue() + b"\r\n--example--\r\n"
    return ExampleRequest("/v1/classifications", body, "multipart/form-data; boundary=example")


EXAMPLE_REQUEST = _example_request()


@dataclass(slots=True)
class LabelProbability:
    """A label and its calibrated probability."""

    label: str
    probability: float


@dataclass(slots=True)
class Unsure:
    """Why no label should be relied on."""

    reason: Literal["unfamiliar", "ambiguous"]
    detail: str


@dataclass(slots=True)
class Refusal:
    """Why a file is not read: as it would be answered if it were alone."""

    status: int
    code: Code
    detail: str


@dataclass(slots=True)
class Crop:
    """The part of the upright picture that the model sees, as fractions of its width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(slots=True)
class Result:
    """The answer to a file: what is seen in it, or the error.

    The labels of `label_set` together hold the true one in a share `coverage` of pictures like those of the training.
    `heat` is a PNG as a data URL, to be laid over `crop`.
    """

    file: str
    predictions: list[LabelProbability]
    label_set: list[str]
    coverage: float
    unsure: Unsure | None
    heat: str | None
    crop: Crop | None
    error: Refusal | None


class ClassificationResponse(Answered):
    """Results in the order of the files."""

    results: list[Result]


class Limits(BaseModel):
    """What a request may hold."""

    max_files: int
    max_file_bytes: int
    max_pixels: int = Field(description="Width times height of a JPEG")
    max_pixels_whole: int = Field(description="The same of other formats, and of progressive and CMYK JPEG")
    max_frames: int
    max_body_bytes: int


class Example(BaseModel):
    """A picture to try."""

    name: str
    url: str


class LabelsResponse(Answered):
    """What a page needs to know before it sends a picture."""

    labels: tuple[str, ...]
    coverage: float = Field(description="Share of pictures whose label set holds the true label")
    formats: tuple[str, ...]
    limits: Limits
    examples: list[Example]


def result_of(
    file: str,
    prediction: Prediction,
    crop: CropBox,
    *,
    labels: Sequence[str],
    coverage: float,
    top_k: int,
    side: int,
) -> Result:
    """Return a prediction as the API shows it; `side` is that of the heat map in pixels."""
    order = np.argsort(-prediction.probabilities, kind="stable")[:top_k]
    label_set = [labels[label] for label in prediction.label_set]
    return Result(
        file=file,
        predictions=[LabelProbability(labels[label], float(prediction.probabilities[label])) for label in order],
        label_set=label_set,
        coverage=coverage,
        unsure=None if prediction.unsure is None else Unsure(prediction.unsure, _why(prediction.unsure, label_set)),
        heat=None if prediction.heat is None else heat_picture(prediction.heat, side=side),
        crop=Crop(*crop),
        error=None,
    )


def refused(file: str, error: ImageError, *, coverage: float) -> Result:
    """Return the result of a file that is not read."""
    refusal = Refusal(STATUS[error.code], error.code, str(error))
    return Result(file, [], [], coverage, None, None, None, refusal)


def _why(reason: Literal["unfamiliar", "ambiguous"], label_set: Sequence[str]) -> str:
    if reason == "unfamiliar":
        return UNFAMILIAR
    if len(label_set) > 1:
        return f"The picture may show {', '.join(label_set[:-1])} or {label_set[-1]}."
    return f"The picture may show {label_set[0]}, but no label is probable enough to rely on."
