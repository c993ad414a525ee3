"""How bright and sharp a picture is, and that a look brings it there."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from image_classifier.data.load import Dataset
from image_classifier.data.looks import MOST_NOISE, Look, brightness, look_for, sharpness
from image_classifier.data.photos import Photo, image_of, pixels_of
from image_classifier.data.preprocessing import Preprocessing, to_pixels

SIDE = 224


@pytest.fixture
def photo(sample: Dataset) -> Photo:
    return sample.photos[0]


def seen(image: Image.Image) -> tuple[float, float]:
    pixels = to_pixels(image, Preprocessing(SIDE, SIDE))
    return brightness(pixels), sharpness(pixels)


def test_brightness_is_that_of_one_line_in_four() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert brightness(pixels) == 0
    pixels[:4] = 255
    assert brightness(pixels) == 0.5


def test_sharpness_is_the_variance_of_the_laplacian_and_falls_when_a_picture_is_blurred() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    green = rows[..., 1].astype(float)
    laplacian = [
        green[0, x] + green[2, x] + green[1, x - 1] + green[1, x + 1] - 4 * green[1, x] for x in range(1, 5)
    ]  # of a height of 6 the first line that has two neighbors; the next one would be the fifth below
    assert sharpness(rows) == pytest.approx(np.var(laplacian), rel=1e-5)
    picture = Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 60).convert("RGB")
    sharp, soft = (np.asarray(image) for image in (picture, picture.filter(ImageFilter.GaussianBlur(2))))
    assert sharpness(soft) < sharpness(sharp) / 4


def test_a_look_multiplies_then_adds_noise_that_its_seed_draws() -> None:
    gray = Image.new("RGB", (64, 64), (100, 200, 250))
    assert Look(0.5).of(gray).getpixel((3, 5)) == (50, 100, 125)
    assert Look(2.0).of(gray).getpixel((3, 5)) == (200, 255, 255)
    noisy = np.asarray(Look(0.5, noise=4.0).of(gray), dtype=float)
    assert noisy.std(axis=(0, 1)) == pytest.approx([4, 4, 4], rel=0.05)
    assert noisy.mean(axis=(0, 1)) == pytest.approx([50, 100, 125], abs=0.5)
    assert Look(0.5, noise=4.0).of(gray) == Look(0.5, noise=4.0).of(gray) != Look(0.5, noise=4.0, seed=1).of(gray)


@pytest.mark.parametrize(("gain", "times"), [(0.3, 6.0), (0.5, 1.5), (1.0, 0.3), (0.4, 0.5)])
def test_a_look_brings_a_picture_to_a_brightness_and_nearly_to_a_sharpness(
    photo: Photo, gain: float, times: float
) -> None:
    image = image_of(photo)
    dark, plain = seen(Look(gain).of(image))
    look = look_for(image, SIDE, gain=gain, target=plain * times, seed=3)
    assert (look.noise > 0, look.blur > 0) == (times > 1, times < 1)
    changed, sharp = seen(look.of(image))
    assert changed == pytest.approx(dark, rel=0.1)  # where black cuts noise off it gets a little brighter
    assert sharp == pytest.approx(plain * times, rel=0.2)


def test_what_is_as_sharp_already_gets_neither_and_no_noise_is_without_end(photo: Photo) -> None:
    image = image_of(photo)
    _, plain = seen(image)
    assert look_for(image, SIDE, gain=1.0, target=plain * 1.05) == Look(1.0)
    assert look_for(image, SIDE, gain=1.0, target=1e9).noise == MOST_NOISE
    assert look_for(Image.new("RGB", (60, 40)), SIDE, gain=1.0, target=0.0) == Look(1.0)


def test_a_copy_is_seen_with_its_look(photo: Photo) -> None:
    copy = replace(photo, look=Look(0.5))
    how = Preprocessing(64, 64)
    assert brightness(pixels_of(copy, how)) == pytest.approx(brightness(pixels_of(photo, how)) / 2, rel=0.01)
