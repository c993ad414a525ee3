"""From an upright picture to the model's input: the same code in training, in evaluation and in the service.

Pixels equal those of torchvision's ``v2.Resize(resize, antialias=True)`` and ``v2.CenterCrop(crop)`` on a PIL image:
nearest and bicubic exactly, bilinear within 2 of 255, as it is rounded elsewhere. torchvision itself is not needed.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Pixels = NDArray[np.uint8]

STRIP = 100
"""Of a picture more than so many times as long as wide, only the part that the crop needs is resized, whatever the
filter: the rest could fill the memory."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the model's input.

    Attributes
    ----------
    resize
        Length of the shorter side after resizing, in pixels.
    crop
        Side of the square that is cut out of the middle; where the picture is smaller, black is added.
    interpolation
        Pillow's filter, antialiased when it makes a picture smaller.
    """

    resize: int
    crop: int
    interpolation: Interpolation = "bilinear"


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of an upright picture that the model sees, as fractions of its width and height.

    `left` and `top` are negative and `width` and `height` above 1 where black was added.
    """

    left: float
    top: float
    width: float
    height: float


def to_pixels(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """Resize and crop a picture of mode RGB, as `read_image` returns it; uint8 [crop, crop, 3]."""
    (width, height), left, top = _geometry(image.size, preprocessing)
    crop, resample = preprocessing.crop, Image.Resampling[preprocessing.interpolation.upper()]
    # Only what the crop needs is resized, in half the time, where the filter can do so: bicubic overshoots and is cut
    # between the two passes, nearest takes a neighbor if a place is rounded.
    if preprocessing.interpolation == "bilinear" or max(width, height) > STRIP * min(width, height):
        x, y = max(left, 0), max(top, 0)
        right, bottom = min(left + crop, width), min(top + crop, height)
        x0, x1 = x * image.width / width, right * image.width / width
        y0, y1 = y * image.height / height, bottom * image.height / height
        image = image.resize((right - x, bottom - y), resample, box=(x0, y0, x1, y1))
        left, top = left - x, top - y
    elif image.size != (width, height):
        image = image.resize((width, height), resample)
    if image.size != (crop, crop) or left or top:
        image = image.crop((left, top, left + crop, top + crop))
    return np.array(image, dtype=np.uint8)


def crop_box(size: tuple[int, int], preprocessing: Preprocessing) -> Crop:
    """Return which part of an upright picture of this width and height `to_pixels` cuts out.

    >>> crop_box((512, 256), Preprocessing(resize=256, crop=128))
    Crop(left=0.375, top=0.25, width=0.25, height=0.5)
    """
    (width, height), left, top = _geometry(size, preprocessing)
    crop = preprocessing.crop
    return Crop(left / width, top / height, crop / width, crop / height)


def _geometry(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[tuple[int, int], int, int]:
    """Return the size after resizing, and where in it the crop begins; rounded as torchvision does."""
    width, height = size
    side = preprocessing.resize
    longer = int(side * max(size) / min(size))
    resized = (side, longer) if width <= height else (longer, side)
    left, top = (_anchor(length, preprocessing.crop) for length in resized)
    return resized, left, top


def _anchor(length: int, crop: int) -> int:
    return -((crop - length) // 2) if crop > length else round((length - crop) / 2)
