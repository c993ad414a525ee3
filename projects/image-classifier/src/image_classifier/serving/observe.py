"""What is watched of pictures: what the log keeps of each, the columns that come of it, and what feedback shows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, JsonValue

from image_classifier.config import MODEL_NAME
from image_classifier.data.looks import Recent, brightness, sharpness
from image_classifier.data.photos import Photo, pixels_of
from image_classifier.data.preprocessing import Pixels
from image_classifier.data.stills import Still
from image_classifier.models.predictor import Prediction, Predictor
from portfolio_shared.operations.store import LoggedPrediction
from portfolio_shared.operations.watch import REFERENCE_ROWS, Columns, Measure, Watch
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.schemas import Strict

if TYPE_CHECKING:  # a service reads no data sets
    from image_classifier.data.load import Split
    from portfolio_shared.operations.lessons import Lesson, Lessons

IMPOSSIBLE = 0.001
LEAST, CLIENTS = 30, 100
"""Clients whose newest picture shows how recent ones look: at least, and at most."""

Json = dict[str, JsonValue]


class Truth(Strict):
    """What a picture shows."""

    label: str | None = Field(max_length=255, description="The right label, as /v1/labels has it; null: none of them")


def picture_of(data: bytes, still: Still, pixels: Pixels, prediction: Prediction) -> Json:
    """Return what the log keeps of a picture: no pixel of it, and not its name.

    Parameters
    ----------
    data, still, pixels
        The file, what it holds, and what the model was shown of it, uint8 [crop, crop, 3].
    """
    width, height = still.size
    file: Json = {"sha256": hashlib.sha256(data).hexdigest(), "format": still.kind, "width": width, "height": height}
    file |= {"side": len(pixels)}  # which sharpness depends on
    return file | look_of(pixels, prediction) | {"features": [round(value, 3) for value in prediction.features]}


def look_of(pixels: Pixels, prediction: Prediction) -> Json:
    """Return brightness and sharpness of a picture, and how unlike the training pictures it is."""
    return {
        "brightness": round(brightness(pixels), 4),
        "sharpness": round(sharpness(pixels), 2),
        "unfamiliarity": round(prediction.unfamiliarity, 4),
    }


def answer_of(prediction: Prediction, labels: Sequence[str]) -> Json:
    """Return what the log keeps of an answer: the probabilities of all labels, the most probable first."""
    order = np.argsort(-prediction.probabilities, kind="stable")
    return {
        "probabilities": {labels[label]: round(float(prediction.probabilities[label]), 6) for label in order},
        "label_set": [labels[label] for label in prediction.label_set],
        "unsure": prediction.unsure,
    }


def columns_of(picture: Json, answer: Json) -> dict[str, float | str]:
    """Return the columns to watch of a picture and its answer, as the log has both; none of a refused file."""
    if "error" in picture:
        return {}
    look: dict[str, Any] = {name: picture[name] for name in ("brightness", "sharpness", "unfamiliarity")}
    said: dict[str, Any] = answer
    label, probability = next(iter(said["probabilities"].items()))
    sure: dict[str, float | str] = {"probability": probability, "label_set_size": float(len(said["label_set"]))}
    return look | sure | {"label": label, "unsure": said["unsure"] or "no"}


def logged_columns(prediction: LoggedPrediction) -> list[dict[str, float | str]]:
    """Return the columns to watch of each picture of a request."""
    asked, answered = json.loads(prediction.request), json.loads(prediction.response)
    return [columns_of(*both) for both in zip(asked["pictures"], answered["results"], strict=True)]


def measure(prediction: LoggedPrediction, index: int, truth: Truth) -> Mapping[str, float]:
    """Return what the truth shows of an answer; nothing of a refused file.

    Raises
    ------
    ValueError
        If the model that answered has no such label.
    """
    answer = json.loads(prediction.response)["results"][index]
    if "error" in answer:
        return {}
    unsure = float(answer["unsure"] is not None)
    if truth.label is None:
        return {"unsure_out_of_distribution": unsure}
    check_label(truth, answer)
    right = float(truth.label == next(iter(answer["probabilities"])))
    return {"accuracy": right, "set_coverage": float(truth.label in answer["label_set"]), "unsure": unsure}


def loss(prediction: LoggedPrediction, index: int, truth: Truth) -> float | None:
    """Return the Brier score of the probabilities (Brier 1950), from 0 to 2; None where no label is right.

    Raises
    ------
    ValueError
        If the model that answered has no such label.
    """
    answer = json.loads(prediction.response)["results"][index]
    if "error" in answer or truth.label is None:
        return None
    check_label(truth, answer)
    return float(sum((share - (label == truth.label)) ** 2 for label, share in answer["probabilities"].items()))


def about(prediction: LoggedPrediction, index: int) -> str:
    """Return the hash of the file."""
    return str(json.loads(prediction.request)["pictures"][index]["sha256"])


def doubt(prediction: LoggedPrediction, index: int, truth: Truth) -> str | None:
    """Doubt a label that the answer held next to impossible, and any word on a file that could not be read.

    Right ones hardly ever are, where photographs have become dark and noisy as well: else no model could learn that.
    Most false ones are not either, so that a client has one voice is what bounds them.
    """
    answer = json.loads(prediction.response)["results"][index]
    if "error" in answer:
        return "a file that could not be read"
    if truth.label is None:
        return None
    check_label(truth, answer)
    return "a label that the answer held impossible" if answer["probabilities"][truth.label] < IMPOSSIBLE else None


def check_label(truth: Truth, answer: Mapping[str, Any]) -> None:
    """Raise ValueError if the model that gave a logged answer has no such label."""
    if truth.label not in answer["probabilities"]:
        raise ValueError(f"no label of the model is called {truth.label!r}")


def check_truth(predictor: Predictor, truth: Truth) -> None:
    """Refuse a label that the model does not have: misspelt, it would count as none of them.

    Raises
    ------
    ProblemError
        422, with the labels that there are.
    """
    if truth.label is not None and truth.label not in predictor.labels:
        message, bound = "Input should be a label of the model, or null for none", {"expected": list(predictor.labels)}
        raise unprocessable([FieldError(field="truth.label", message=message, value=truth.label, bound=bound)])


def newest_of_each(lessons: "Lessons") -> "Lessons":
    """Return the newest lesson with a label of each client, of the newest clients.

    They teach how pictures look, and pictures of one client resemble each other: none darkens the training of all.
    """
    newest: dict[str, Lesson] = {}
    for lesson in lessons.learned:
        if lesson.truth.label is not None:
            newest.pop(lesson.client, None)
            newest[lesson.client] = lesson
    kept = tuple(newest.values())[-CLIENTS:]
    others = len(lessons.learned) - len(kept)
    counts = {**lessons.counts, "learned": len(kept)}
    if others:
        counts["of no label, or newer ones are there"] = others
    return replace(lessons, learned=kept, counts=counts)


def recent_looks(lessons: "Sequence[Lesson]") -> Recent | None:
    """Return how the pictures looked, of those that were seen as wide as the last one; None of fewer than LEAST."""
    pictures: list[Any] = [json.loads(lesson.prediction.request)["pictures"][lesson.item] for lesson in lessons]
    sides = [picture["side"] for picture in pictures if "side" in picture]  # not in a log of before
    alike = [picture for picture in pictures if picture.get("side") in sides[-1:]]
    if len(alike) < LEAST:
        return None
    bright, sharp = np.array([(picture["brightness"], picture["sharpness"]) for picture in alike]).T
    return Recent(bright, sharp, sides[-1])


def reference(predictor: Predictor, split: "Split") -> Columns:
    """Return the columns of photographs that the model has not learned from: the validation and the test part.

    With those that it learned from it is surer than it will be of any new one: each window would look drifted. Where
    there are copies that look like the pictures of today, they are taken: what the model learned with is no change.
    """
    held_out = split.today or (*split.validation, *split.test)
    drawn = np.sort(np.random.default_rng(0).permutation(len(held_out))[:REFERENCE_ROWS])
    rows = [_columns_of(held_out[i], predictor) for i in drawn]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _columns_of(photo: Photo, predictor: Predictor) -> dict[str, float | str]:
    pixels = pixels_of(photo, predictor.preprocessing)
    (prediction,) = predictor.predict([pixels])
    return columns_of(look_of(pixels, prediction), answer_of(prediction, predictor.labels))


WATCH = Watch(
    model=MODEL_NAME,
    truth=Truth,
    columns=lambda _: logged_columns,
    measures={
        "accuracy": Measure("right label", "accuracy", "higher"),
        "set_coverage": Measure("label sets that hold the right label", "set_coverage", "higher"),
        "unsure": Measure("unsure, of pictures of the labels", "unsure", "lower"),
        "unsure_out_of_distribution": Measure("unsure, of pictures of none", "unsure_out_of_distribution", "higher"),
    },
    measure=measure,
    loss=loss,
    loss_label="Brier score",
    about=about,
    doubt=doubt,
)
