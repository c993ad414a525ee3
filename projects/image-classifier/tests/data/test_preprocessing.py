"""The model's input is that of the training library."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import noise
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from image_classifier.data.preprocessing import Crop, Preprocessing, crop_box, to_pixels

SIZES = [(500, 375), (375, 500), (224, 224), (256, 256), (8, 8), (9, 301), (640, 427), (333, 501), (100, 37), (1, 80)]


def assert_alike(pixels: np.ndarray, expected: np.ndarray, *, exactly: bool) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= (0 if exactly else 2)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (224, 224), (160, 161), (75, 200), (37, 12)])
def test_pixels_equal_torchvision(size, interpolation, resize, crop) -> None:
    image = noise(*size)
    transform = v2.Compose(
        [v2.Resize(resize, interpolation=InterpolationMode(interpolation), antialias=True), v2.CenterCrop(crop)]
    )

    pixels = to_pixels(image, Preprocessing(resize, crop, interpolation))

    assert_alike(pixels, np.asarray(transform(image)), exactly=interpolation != "bilinear")
    assert (pixels.dtype, pixels.shape) == (np.uint8, (crop, crop, 3))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 600), height=st.integers(1, 600), resize=st.integers(1, 256), crop=st.integers(1, 256))
def test_pixels_equal_torchvision_whatever_the_sizes(width, height, resize, crop, interpolation) -> None:
    if max(width, height) > 100 * min(width, height):
        return  # the next test is about those
    image = noise(width, height)

    how = InterpolationMode(interpolation)
    expected = np.asarray(v2.CenterCrop(crop)(v2.Resize(resize, interpolation=how, antialias=True)(image)))

    assert_alike(
        to_pixels(image, Preprocessing(resize, crop, interpolation)), expected, exactly=interpolation == "bicubic"
    )


@pytest.mark.long
@pytest.mark.parametrize("size", [(500, 375), (227, 227), (3000, 4000)], ids=str)
def test_few_pixels_of_a_photograph_are_rounded_otherwise_than_by_torchvision(size) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    expected = v2.CenterCrop(224)(v2.Resize(232, antialias=True)(image))

    differ = to_pixels(image, Preprocessing(232, 224)) != np.asarray(expected)

    assert differ.mean() < 0.01


@pytest.mark.parametrize("size", [(6000, 16), (16, 6000), (1700, 16)], ids=str)
def test_a_strip_is_cropped_before_it_fills_the_memory(size) -> None:
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    expected = v2.CenterCrop(224)(v2.Resize(256, antialias=True)(image))
    tracemalloc.start()

    pixels = to_pixels(image, Preprocessing(256, 224))

    assert tracemalloc.get_traced_memory()[1] < 2_000_000  # NumPy's part; Pillow's is the size that is asked for
    tracemalloc.stop()
    assert np.abs(pixels.astype(int) - np.asarray(expected)).max() <= 1


def test_the_longest_strip_is_resized_at_its_crop_only() -> None:
    image = Image.new("RGB", (6_000_000, 8), "red")  # resized as a whole it would take 150 GB

    pixels = to_pixels(image, Preprocessing(256, 224))

    assert (pixels == [255, 0, 0]).all()


def test_the_crop_is_a_part_of_the_picture() -> None:
    assert crop_box((500, 375), Preprocessing(375, 375)) == Crop(62 / 500, 0, 375 / 500, 1)
    # Black is added: the model sees more than the picture, the same on each side.
    box = crop_box((100, 100), Preprocessing(resize=50, crop=100))
    assert box == Crop(-0.5, -0.5, 2, 2)
