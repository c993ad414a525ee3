"""What is watched of pictures: what the log keeps of each, the columns that come of it, and what feedback shows."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from new_project.config import MODEL_NAME
from new_project.models.predictor import Prediction, Predictor
from new_project.serving.schemas import Item
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import Columns, Measure, Watch
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.schemas import Strict

if TYPE_CHECKING:  # a service reads no data sets
    from new_project.data.load import Split

IMPOSSIBLE = 0.001


class Truth(Strict):
    """What a picture shows."""

    label: str | None = Field(max_length=255, description="The right label, as /v1/labels has it; null: none of them")


def picture_of(data: bytes, prediction: Prediction) -> dict[str, str]:
    """Return what the log keeps of a picture: no pixel of it, but what a retraining can learn from."""
    features = base64.b64encode(prediction.features).decode("ascii")
    return {"sha256": hashlib.sha256(data).hexdigest(), "features": features}


def answer_of(prediction: Prediction, labels: Sequence[str]) -> dict[str, Any]:
    """Return what the log keeps of an answer."""
    return {
        "probabilities": {label: round(each, 6) for label, each in zip(labels, prediction.probabilities, strict=True)},
        "label_set": [labels[label] for label in prediction.label_set],
        "distance": round(prediction.distance, 4),
        "unsure": prediction.unsure,
    }


def columns_of(answer: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the columns to watch of an answer as the log has it."""
    label = _label(answer)
    return {
        "label": label,
        "probability": answer["probabilities"][label],
        "label_set_size": float(len(answer["label_set"])),
        "distance": answer["distance"],
        "unsure": answer["unsure"] or "no",
    }


def input_schema() -> dict[str, Any]:
    """Return what one request holds, for the manifest of a bundle."""
    return Item.model_json_schema()


def reference(predictor: Predictor, split: "Split") -> Columns:
    """Return the columns of pictures that the model has not learned from: the validation and the test part."""
    import numpy as np

    from new_project.data.images import read

    pictures = (*split.validation.pictures, *split.test.pictures)
    predictions = [predictor.predict([read(picture.path)])[0] for picture in pictures]
    rows = [columns_of(answer_of(prediction, predictor.labels)) for prediction in predictions]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def measure(row: LoggedPrediction, _index: int, truth: Truth) -> dict[str, float]:
    """Return what the truth shows of an answer."""
    answer = json.loads(row.response)
    unsure = float(answer["unsure"] is not None)
    if truth.label is None:
        return {"unsure_of_none": unsure}
    right, covered = float(truth.label == _label(answer)), float(truth.label in answer["label_set"])
    return {"accuracy": right, "set_coverage": covered, "unsure": unsure}


def loss(row: LoggedPrediction, _index: int, truth: Truth) -> float | None:
    """Return the Brier score (Brier 1950), from 0 to 2; None where no label is right."""
    if truth.label is None:
        return None
    shares = json.loads(row.response)["probabilities"].items()
    return float(sum((share - (label == truth.label)) ** 2 for label, share in shares))


def doubt(row: LoggedPrediction, _index: int, truth: Truth) -> str | None:
    """Return why nothing is learned from a label: there is none, or the answer held it impossible."""
    if truth.label is None:
        return "none of the labels"
    share = json.loads(row.response)["probabilities"].get(truth.label, 0.0)
    return "a label that the answer held impossible" if share < IMPOSSIBLE else None


def check_truth(predictor: Predictor, truth: Truth) -> None:
    """Refuse a label that the model does not have, with those that there are."""
    if truth.label is not None and truth.label not in predictor.labels:
        message, bound = "Input should be a label of the model, or null for none", {"expected": list(predictor.labels)}
        raise unprocessable([FieldError(field="truth.label", message=message, value=truth.label, bound=bound)])


def _label(answer: Mapping[str, Any]) -> str:
    probabilities: Mapping[str, float] = answer["probabilities"]
    return max(probabilities, key=probabilities.__getitem__)


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=lambda _: lambda row: [columns_of(json.loads(row.response))],
    measures={
        "accuracy": Measure("right label", "accuracy", "higher"),
        "set_coverage": Measure("label sets that hold the right label", "set_coverage", "higher"),
        "unsure": Measure("unsure, of pictures of the labels", "unsure", "lower"),
        "unsure_of_none": Measure("unsure, of pictures of none", None, "higher"),
    },
    measure=measure,
    loss=loss,
    loss_label="Brier score",
    about=lambda row, _: str(json.loads(row.request)["sha256"]),
    doubt=doubt,
)
