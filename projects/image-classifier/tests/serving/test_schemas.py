"""What the API accepts, and how the model's predictions read in its terms."""

from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from image_classifier.data.images import Code, ImageError
from image_classifier.data.preprocessing import CropBox
from image_classifier.models.predictor import Prediction
from image_classifier.serving.schemas import BODY, STATUS, Options, Result, refused, result_of

LABELS = ("daisy", "rose", "tulip")
BOX = CropBox(0.1, 0.0, 0.8, 1.0)


def prediction(*, label_set=(1,), unsure=None, heat=None) -> Prediction:
    return Prediction(np.array([0.2, 0.7, 0.1]), label_set, 0.5, unsure, heat)


def shown(prediction: Prediction, *, top_k: int = 5) -> Result:
    return result_of("a.jpg", prediction, BOX, labels=LABELS, coverage=0.95, top_k=top_k, side=32)


def test_options_have_defaults_and_are_read_from_text() -> None:
    assert Options() == Options(top_k=5, heat=False)
    assert Options.model_validate({"top_k": "3", "heat": "true"}) == Options(top_k=3, heat=True)


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"top_k": "many"}, {"top_k": 1001}, {"heat": "maybe"}, {"topk": 3}])
def test_wrong_options_are_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)


def test_labels_come_most_probable_first() -> None:
    result = shown(prediction(label_set=(1, 0)))

    assert [(item.label, item.probability) for item in result.predictions] == [
        ("rose", 0.7),
        ("daisy", 0.2),
        ("tulip", 0.1),
    ]
    assert (result.file, result.label_set, result.coverage) == ("a.jpg", ["rose", "daisy"], 0.95)
    assert (result.unsure, result.heat, result.error) == (None, None, None)
    assert [item.label for item in shown(prediction(), top_k=2).predictions] == ["rose", "daisy"]


def test_the_crop_is_in_fractions() -> None:
    crop = TypeAdapter(Result).dump_python(shown(prediction()))["crop"]

    assert crop == {"left": 0.1, "top": 0.0, "width": 0.8, "height": 1.0}


@pytest.mark.parametrize(
    ("unsure", "label_set", "says"),
    [
        ("unfamiliar", (1,), "unlike those"),
        ("ambiguous", (1, 0), "may show rose or daisy."),
        ("ambiguous", (1, 0, 2), "may show rose, daisy or tulip."),
        ("ambiguous", (1,), "may show rose, but no label"),
    ],
)
def test_a_doubt_is_explained(unsure, label_set, says) -> None:
    doubt = shown(prediction(unsure=unsure, label_set=label_set)).unsure

    assert doubt is not None
    assert doubt.reason == unsure
    assert says in doubt.detail


def test_heat_is_a_picture_only_where_there_is_one() -> None:
    heat = shown(prediction(heat=np.ones((2, 2), dtype=np.float32))).heat

    assert heat is not None
    assert heat.startswith("data:image/png;base64,")


def test_every_reason_has_a_status_of_the_clients_fault() -> None:
    assert set(STATUS) == set(get_args(Code))
    assert all(400 <= status < 500 for status in STATUS.values())


def test_a_file_that_is_not_read_has_an_error_and_nothing_else() -> None:
    result = TypeAdapter(Result).dump_python(refused("a.svg", ImageError("unsupported_format", "No."), coverage=0.95))

    assert result["error"] == {"status": 415, "code": "unsupported_format", "detail": "No."}
    assert (result["file"], result["predictions"], result["label_set"]) == ("a.svg", [], [])
    assert result["unsure"] is result["heat"] is result["crop"] is None


def test_the_documented_body_has_the_options() -> None:
    properties = BODY["content"]["multipart/form-data"]["schema"]["properties"]

    assert set(properties) == {"files", *Options.model_fields}
