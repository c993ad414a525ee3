"""Baselines without a network: a logistic regression on colors, on edges or on the pixels themselves."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from image_classifier.data.load import Split
from image_classifier.data.photos import Photo, image_of, labels_of, pixels_of
from image_classifier.data.preprocessing import Preprocessing, to_pixels
from image_classifier.models.probe import fit_probe
from image_classifier.models.trunk import Features
from portfolio_shared.evaluation.classification import fit_temperature, softmax

TINY = Preprocessing(32, 32)
STRENGTHS = tuple(10.0**power for power in np.arange(-4, 1.5, 0.5))
"""Inverse strengths of the penalty: descriptions of few numbers need weaker ones than a network's features."""
STRENGTHS_OF_PIXELS = tuple(10.0**power for power in np.arange(-4, -0.5, 0.5))
PIXELS, COLORS, EDGES = "raw pixels", "color histogram", "oriented gradients (HOG)"
Describe = Callable[[Image.Image], NDArray[np.floating]]


def histogram(image: Image.Image) -> NDArray[np.floating]:
    """Return the square roots of the shares of 8 hues x 4 saturations x 4 brightnesses [128]."""
    values = np.asarray(image.resize((64, 64)).convert("HSV"), dtype=np.int64).reshape(-1, 3)
    cells = values[:, 0] // 32 * 16 + values[:, 1] // 64 * 4 + values[:, 2] // 64
    return np.sqrt(np.bincount(cells, minlength=128) / len(cells))


def gradients(image: Image.Image, *, side: int = 128, cell: int = 16, bins: int = 9) -> NDArray[np.floating]:
    """Return histograms of oriented gradients, each cell's of length 1 (after Dalal and Triggs 2005) [576]."""
    square = Image.fromarray(to_pixels(image, Preprocessing(side, side)))
    down, right = np.gradient(np.asarray(ImageOps.grayscale(square), dtype=np.float64))
    strength, angle = np.hypot(down, right), np.arctan2(down, right) % math.pi
    rows, columns = np.indices(down.shape) // cell
    cells = (rows * (side // cell) + columns) * bins + np.minimum((angle / math.pi * bins).astype(int), bins - 1)
    counted = np.bincount(cells.ravel(), strength.ravel(), minlength=(side // cell) ** 2 * bins).reshape(-1, bins)
    return np.asarray((counted / (np.linalg.norm(counted, axis=1, keepdims=True) + 1e-6)).ravel())


DESCRIPTIONS: dict[str, Describe] = {COLORS: histogram, EDGES: gradients}


def described(photos: Sequence[Photo], describe: Describe) -> Features:
    """Return the description of each photograph [n, n_numbers]."""
    return np.stack([describe(image_of(photo, at_least=256)) for photo in photos]).astype(np.float32)


def by_description(split: Split, describe: Describe) -> NDArray[np.float64]:
    """Fit the probe on descriptions in place of features; return probabilities on the test part [n, n_classes]."""
    return _probabilities(split, lambda photos: described(photos, describe), STRENGTHS)


def by_pixels(split: Split) -> NDArray[np.float64]:
    """Fit the probe on 32 x 32 pixels; return probabilities on the test part [n, n_classes]."""
    return _probabilities(split, _tiny, STRENGTHS_OF_PIXELS)


def _probabilities(
    split: Split, rows_of: Callable[[Sequence[Photo]], Features], strengths: Sequence[float]
) -> NDArray[np.float64]:
    """Choose strength and temperature on the validation part."""
    training, held_out, tested = (rows_of(part) for part in (split.train, split.validation, split.test))
    y, y_held_out = labels_of(split.train), labels_of(split.validation)
    head, _ = fit_probe(training, y, held_out, y_held_out, strengths=strengths)
    temperature = fit_temperature(y_held_out, head.logits(held_out))
    return softmax(head.logits(tested) / temperature)


def _tiny(photos: Sequence[Photo]) -> Features:
    """Return pictures as rows of 3,072 numbers between 0 and 1."""
    return np.stack([pixels_of(photo, TINY).ravel() / 255 for photo in photos]).astype(np.float32)
