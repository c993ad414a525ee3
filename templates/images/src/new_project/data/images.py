"""From the bytes of a file to the square of pixels that the model sees: the same in training and in the service."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from new_project.config import SIDE

Pixels = NDArray[np.uint8]
Code = Literal["not_an_image", "too_small", "too_many_pixels", "damaged"]
FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS, LEAST_SIDE = 50_000_000, 16
NEAR_BITS = 12
"""Of the 256 bits of `look`, so many may differ in near copies of a picture."""


class ImageError(ValueError):
    """A file that is not read; the text says why to a person, the code to a program."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def prepare(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Turn the bytes of a file into the model's input, uint8 [SIDE, SIDE, 3]: upright, its middle, on white.

    The size is looked at before anything is decoded, and a large JPEG is decoded at a fraction of its size.

    Raises
    ------
    ImageError
        If the file is none of `FORMATS`, too small, too large, or damaged.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageError(
            "not_an_image", f"The file holds no picture that is read. Send {', '.join(FORMATS)}."
        ) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels", f"The picture is {width} x {height}, and {max_pixels:,} pixels are the most."
        )
    if min(image.size) < LEAST_SIDE:
        raise ImageError("too_small", f"The picture is {width} x {height}, and each side needs at least {LEAST_SIDE}.")
    try:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        whole = upright(image)
    except Exception as error:  # a decoder meets a damaged file with any of a dozen kinds of error
        raise ImageError("damaged", "The file cannot be decoded: it is damaged. Save it anew.") from error
    return np.asarray(ImageOps.fit(whole, (SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its camera was held, in RGB, on white where it is transparent."""
    turned = ImageOps.exif_transpose(image)
    if not turned.has_transparency_data:
        return turned.convert("RGB")
    clear = turned.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return the model's input of a file. Raises as `prepare`, and OSError."""
    return prepare(path.read_bytes(), max_pixels=max_pixels)


def look(pixels: Pixels) -> str:
    """Return what a picture looks like in 256 bits, as hexadecimal digits: a few differ in a copy of another size.

    Each bit says whether a place of a 16 x 17 gray picture is brighter than its neighbor (the difference hash).
    """
    gray = np.asarray(Image.fromarray(pixels).convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(gray[:, 1:] > gray[:, :-1]).tobytes().hex()


def leaders(looks: Sequence[str]) -> list[int]:
    """Return for each look the place of the first that is near to it, which is its own where none is.

    Examples
    --------
    >>> leaders(["00" * 32, "ff" * 32, "00" * 31 + "01"])
    [0, 1, 0]
    """
    packed = np.frombuffer(bytes.fromhex("".join(looks)), dtype=np.uint8).reshape(len(looks), -1)
    bits = np.unpackbits(packed, axis=1).astype(np.int16)
    found: list[int] = []
    for place, own in enumerate(bits):
        near = np.flatnonzero(np.abs(bits[:place] - own).sum(axis=1) <= NEAR_BITS)
        found.append(found[near[0]] if len(near) else place)
    return found
