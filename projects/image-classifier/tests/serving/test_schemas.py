"""How the model's predictions and heat maps read in the API's terms."""

import base64
import io
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from image_classifier.data.images import Code
from image_classifier.data.preprocessing import Crop, Preprocessing
from image_classifier.models.predictor import Prediction
from image_classifier.serving.schemas import STATUS, gradient, heat_picture, result_of


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
    model = SimpleNamespace(labels=("daisy", "rose", "tulip"), coverage=0.95, preprocessing=Preprocessing(32, 32))
    prediction = Prediction(np.array([0.2, 0.7, 0.1]), label_set, 0.5, unsure, None)
    doubt = result_of("a.jpg", prediction, Crop(0.1, 0.0, 0.8, 1.0), model, top_k=5).unsure

    assert doubt is not None
    assert doubt.reason == unsure
    assert says in doubt.detail


def test_every_reason_has_a_status_of_the_clients_fault() -> None:
    assert set(STATUS) == set(get_args(Code))
    assert all(400 <= status < 500 for status in STATUS.values())


def drawn(heat, *, side: int):
    head, _, data = heat_picture(np.asarray(heat, dtype=np.float32), side=side).partition(",")
    assert head == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert (picture.format, picture.size) == ("PNG", (side, side))
    return np.asarray(picture.convert("RGBA"))


@pytest.mark.parametrize("shape", [(7, 7), (1, 1), (3, 5)])
def test_no_evidence_is_transparent_and_all_of_it_is_not(shape) -> None:
    assert not drawn(np.zeros(shape), side=56)[..., 3].any()
    assert (drawn(np.ones(shape), side=56) == gradient()[255]).all()


def test_evidence_lies_where_it_is() -> None:
    heat = np.zeros((7, 7))
    heat[1, 5] = 1  # second row, sixth column

    opacity = drawn(heat, side=70)[..., 3].astype(int)

    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    assert abs(row - 15) <= 1
    assert abs(column - 55) <= 1
    assert not opacity[30:].any()


def test_more_evidence_is_never_less_opaque() -> None:
    opacity = gradient()[:, 3].astype(int)

    assert (np.diff(opacity) >= 0).all()
    assert opacity[0] == 0
    assert 150 < opacity[255] < 255  # the photograph is still seen below
