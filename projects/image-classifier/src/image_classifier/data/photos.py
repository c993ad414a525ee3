"""Photographs after cleaning, and what every step takes from them: labels, pixels, examples."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.images import ImageLimits, read_image
from image_classifier.data.looks import Look
from image_classifier.data.preprocessing import Pixels, Preprocessing, to_pixels

TRUSTED = ImageLimits(max_bytes=200_000_000, max_pixels=200_000_000, max_pixels_whole=200_000_000)
"""Limits for pictures that cleaning has let pass: they were read once already."""
N_EXAMPLES = 5
EXAMPLE_SIDE = 320

Item = TypeVar("Item")


@dataclass(frozen=True)
class Listed:
    """A file in a class folder: where it is, ``<class>/<file>``, and the number of its class.

    Attributes
    ----------
    tested
        Whether it came as a picture to test with; None where the pictures came without a split.
    """

    path: Path
    name: str
    label: int
    tested: bool | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Photo(Listed):
    """A picture that can be learned from.

    Attributes
    ----------
    key
        SHA-256 of the file.
    group
        The smallest key among its near duplicates, its own if it has none: pictures of one group belong on one
        side of a split.
    look
        How a copy differs from the file; None for the photograph itself.
    """

    key: str
    group: str
    look: Look | None = field(default=None, kw_only=True)


def labels_of(photos: Sequence[Photo]) -> NDArray[np.int64]:
    """Return the label numbers [n] of photographs."""
    return np.array([photo.label for photo in photos], dtype=np.int64)


def pixels_of(photo: Photo, preprocessing: Preprocessing) -> Pixels:
    """Return a photograph as the model sees it, uint8 [crop, crop, 3]."""
    return to_pixels(image_of(photo, at_least=preprocessing.resize), preprocessing)


def image_of(photo: Photo, *, at_least: int | None = None) -> Image.Image:
    """Return an upright picture of mode RGB, as `read_image` does, with the look that a copy has."""
    image = read_image(photo.path.read_bytes(), limits=TRUSTED, at_least=at_least)
    return image if photo.look is None else photo.look.of(image)


def pixel_batches(photos: Sequence[Photo], preprocessing: Preprocessing) -> Iterator[Pixels]:
    """Yield photographs as the model sees them, uint8 [n, crop, crop, 3] with n at most 32."""
    for start in range(0, len(photos), 32):
        yield np.stack([pixels_of(photo, preprocessing) for photo in photos[start : start + 32]])


def spread(items: Sequence[Item], n: int) -> list[Item]:
    """Return at most `n` items from all over the sequence: the pictures of a part are in the order of their names.

    >>> spread("abcdefgh", 3)
    ['a', 'c', 'f']
    """
    return [items[i * len(items) // n] for i in range(n)] if len(items) > n else list(items)


def first_of_each(photos: Sequence[Photo]) -> list[Photo]:
    """Return the first photograph of each class, in the order of the classes."""
    first = {photo.label: photo for photo in reversed(photos)}
    return [first[label] for label in sorted(first)]


def examples_of(photos: Sequence[Photo]) -> dict[str, bytes]:
    """Return a picture of each of the first classes, small JPEG files for people to try the model on."""
    examples = {}
    for number, photo in enumerate(first_of_each(photos)[:N_EXAMPLES], start=1):
        image = read_image(photo.path.read_bytes(), limits=TRUSTED)
        image.thumbnail((EXAMPLE_SIDE, EXAMPLE_SIDE))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        # The name does not give the answer away.
        examples[f"picture-{number}"] = stream.getvalue()
    return examples
