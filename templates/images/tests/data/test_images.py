"""From files to pixels: what is refused, what is turned, and what looks the same."""

import io

import numpy as np
import pytest
from PIL import Image

from new_project.config import SIDE
from new_project.data.images import ImageError, leaders, look, prepare


def packed(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 18, 3)).astype(np.uint8)).resize((360, 240))


def test_a_picture_becomes_a_square_and_what_is_transparent_white() -> None:
    pixels = prepare(packed(Image.new("RGBA", (300, 200), (255, 0, 0, 0))))

    assert (pixels.shape, pixels.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert (pixels == 255).all()


def test_a_photograph_that_was_taken_sideways_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = prepare(packed(PICTURE, "JPEG", exif=exif, quality=95))
    upright = prepare(packed(PICTURE.rotate(-90, expand=True), "JPEG", quality=95))

    assert np.abs(turned.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello", "not_an_image"),
        (packed(Image.new("RGB", (100, 100)), "GIF"), "not_an_image"),
        (packed(Image.new("RGB", (8, 100))), "too_small"),
        (packed(Image.new("RGB", (5000, 5000))), "too_many_pixels"),
        (packed(PICTURE, "JPEG")[:-600], "damaged"),
    ],
)
def test_what_is_not_read_says_why(data: bytes, code: str) -> None:
    with pytest.raises(ImageError) as error:
        prepare(data, max_pixels=16_000_000)
    assert error.value.code == code


def test_a_smaller_copy_looks_the_same_and_its_mirror_image_does_not() -> None:
    pictures = (PICTURE, PICTURE.resize((270, 180)), PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT))

    assert leaders([look(prepare(packed(each))) for each in pictures]) == [0, 0, 2]
