"""Descriptions without a network say what they are named for."""

import numpy as np
import pytest
from PIL import Image

from image_classifier.evaluation.plain import by_description, by_pixels, gradients, histogram


def test_a_histogram_counts_colors_and_not_places() -> None:
    half = Image.new("RGB", (64, 64), (255, 0, 0))
    half.paste((0, 0, 255), (0, 0, 64, 32))
    values = histogram(half)
    assert values.shape == (128,)
    assert np.sort(values)[-2:] == pytest.approx(np.sqrt(0.5))
    np.testing.assert_allclose(histogram(half.rotate(180)), values)


def test_gradients_tell_directions_and_not_colors() -> None:
    stripes = np.zeros((128, 128, 3), dtype=np.uint8)
    stripes[::8] = stripes[1::8] = stripes[2::8] = stripes[3::8] = 255
    lying, standing = (
        gradients(Image.fromarray(pixels)).reshape(-1, 9) for pixels in (stripes, stripes.swapaxes(0, 1))
    )
    assert lying.shape == (64, 9)
    assert lying.sum(axis=0).argmax() == 4  # the step is downwards: a right angle
    assert standing.sum(axis=0).argmax() in (0, 8)
    np.testing.assert_allclose(np.linalg.norm(lying, axis=1), 1, atol=1e-3)


@pytest.mark.long
def test_baselines_answer_every_test_picture(trained) -> None:
    split = trained.split
    for probabilities in (by_pixels(split), by_description(split, histogram)):
        assert probabilities.shape == (len(split.test), len(split.labels))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
