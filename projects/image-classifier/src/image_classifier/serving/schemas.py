"""What the API accepts and returns: bounds and meaning, and the model's predictions and heat maps in these terms."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field

from image_classifier.data.headers import FORMATS
from image_classifier.data.images import Code, ImageError
from image_classifier.data.preprocessing import Crop
from image_classifier.models.predictor import Prediction, Predictor
from portfolio_shared.serving.schemas import Answered, ExampleRequest, Strict

# Evidence; its red, green, blue and opacity. Nothing is seen where there is none, and opacity tells in grayscale too.
_LEVELS = (0.0, 0.25, 0.6, 1.0)
_COLORS = ((255, 214, 10, 0), (255, 190, 0, 40), (255, 120, 0, 150), (214, 26, 26, 205))


def heat_picture(heat: NDArray[np.float32], *, side: int) -> str:
    """Draw evidence as a PNG with a palette, transparent where there is none, and return it as a data URL.

    Parameters
    ----------
    heat
        [h, w] in 0..1.
    side
        Width and height of the drawn square in pixels: that of the model's crop.
    """
    # Bilinear: a cubic filter swings, and would show evidence where there is none.
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    levels = np.rint(np.clip(np.asarray(smooth), 0, 1) * 255).astype(np.uint8)
    stream = io.BytesIO()
    # 256 colors in a palette: a quarter of the bytes and of the time of four channels.
    picture = Image.fromarray(levels)
    picture.putpalette(gradient().tobytes(), "RGBA")
    picture.save(stream, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def gradient() -> NDArray[np.uint8]:
    """Return the colors of 256 levels of evidence, uint8 [256, 4]: red, green, blue, opacity."""
    channels = [np.interp(np.linspace(0, 1, 256), _LEVELS, channel) for channel in zip(*_COLORS, strict=True)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


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


class PictureFile(Strict):
    """A line of `predict --follow`."""

    file: str = Field(min_length=1, description="Path of a picture, from where the command runs")


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
                        "description": f"Pictures: {', '.join(FORMATS)}; at most the setting MAX_FILES, by default 32",
                    },
                    **Options.model_json_schema()["properties"],
                },
            }
        }
    },
}
"""The body as /docs shows it: it is read by `read_form`, which FastAPI does not know."""


def _example_request() -> ExampleRequest:
    """Return a request with a picture made here: a service has no photographs before it has a model."""
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


def result_of(file: str, prediction: Prediction, crop: Crop, predictor: Predictor, *, top_k: int) -> Result:
    """Return a prediction as the API shows it, with the `top_k` most probable labels."""
    labels, side = predictor.labels, predictor.preprocessing.crop
    order = np.argsort(-prediction.probabilities, kind="stable")[:top_k]
    label_set = [labels[label] for label in prediction.label_set]
    return Result(
        file=file,
        predictions=[LabelProbability(labels[label], float(prediction.probabilities[label])) for label in order],
        label_set=label_set,
        coverage=predictor.coverage,
        unsure=None if prediction.unsure is None else Unsure(prediction.unsure, _why(prediction.unsure, label_set)),
        heat=None if prediction.heat is None else heat_picture(prediction.heat, side=side),
        crop=crop,
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
