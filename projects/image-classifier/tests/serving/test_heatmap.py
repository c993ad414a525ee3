"""The heat map is a picture of the crop's size: transparent without evidence, opaque where it is strong."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from image_classifier.serving.heatmap import gradient, heat_picture


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
