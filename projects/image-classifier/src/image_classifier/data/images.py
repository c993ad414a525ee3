"""From the bytes of a file to the model's input: the same code in training, in evaluation and in the service.

Pixels equal those of torchvision's ``v2.Resize(resize, antialias=True)`` and ``v2.CenterCrop(crop)`` on a PIL image:
nearest and bicubic exactly, bilinear within 2 of 255, as it is rounded elsewhere. torchvision itself is not needed.
Colour profiles are ignored, as torchvision does.
"""

import io
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from image_classifier.data import headers
from image_classifier.data.headers import FORMATS, GIF, JPEG, PNG, WEBP
from image_classifier.data.stills import CrowdedError, Still, first_still

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Code = Literal[
    "empty",
    "too_many_bytes",
    "not_an_image",
    "unsupported_format",
    "too_small",
    "too_many_pixels",
    "too_many_frames",
    "truncated",
    "damaged",
]

STRIP = 100
"""Of a picture more than so many times as long as wide, only the part that the crop needs is resized, whatever the
filter: the rest could fill the memory."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# Named and not found by Image.open, which loads every plugin and warns by the limits of its own.
_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    JPEG: JpegImageFile,
    PNG: PngImageFile,
    WEBP: WebPImageFile,
    GIF: GifImageFile,
}
_NAMES = "JPEG, PNG, WebP or GIF"

LARGE = 4_000_000
"""Pixels in memory above which pictures are decoded one at a time in a process. The most that the service needs then,
in MB of 2^20 bytes: model and interpreter 110; 8 bodies of 64 MB, 8 x 70; a picture of 16 million pixels that is
being decoded at 16 bytes each, 245; in the other thread one of 4 million at 16 bytes, or the result of the one before
at 4 bytes a pixel, 62; copies of two files, 20. That is 997, below the 1,024 of its container."""
_ONE_AT_A_TIME = Lock()
_UPRIGHT = {  # EXIF orientation: what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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

    def __post_init__(self) -> None:
        if self.resize < 1 or self.crop < 1:
            raise ValueError(f"resize={self.resize}, crop={self.crop}: expected at least 1 pixel")
        if self.interpolation not in get_args(Interpolation):
            raise ValueError(f"interpolation={self.interpolation!r}: expected {', '.join(get_args(Interpolation))}")


@dataclass(frozen=True)
class ImageLimits:
    """What a file may hold; checked by its header.

    Attributes
    ----------
    max_bytes
        Of the file.
    max_pixels
        Width times height of an ordinary JPEG, which is decoded at the scale that is needed.
    max_pixels_whole
        The same of what is decoded whole, 4 to 16 bytes of memory for each pixel: other formats, progressive and CMYK
        JPEG, and strips that stay as long as they are at every scale.
    max_frames
        Of an animation, of which the first is read.
    min_side
        Least width and height.
    """

    max_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
    max_pixels_whole: int = 16_000_000
    max_frames: int = 500
    min_side: int = 8


class CropBox(NamedTuple):
    """The part of an upright picture that the model sees, as fractions of its width and height.

    `left` and `top` are negative and `width` and `height` above 1 where black was added.
    """

    left: float
    top: float
    width: float
    height: float


class ImageError(ValueError):
    """A file that is not read; the text says why and what to do, to the person who sent it.

    Attributes
    ----------
    code
        The reason, for a program.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def prepare(data: bytes, preprocessing: Preprocessing, *, limits: ImageLimits) -> NDArray[np.uint8]:
    """Turn the bytes of a file into the model's input, uint8 [crop, crop, 3].

    Raises
    ------
    ImageError
        As `read_image`.
    """
    return to_pixels(read_image(data, limits=limits, at_least=preprocessing.resize), preprocessing)


def read_image(data: bytes, *, limits: ImageLimits, at_least: int | None = None) -> Image.Image:
    """Decode a file into an upright picture of mode RGB: the first frame, what is transparent on white.

    Parameters
    ----------
    data
        The file.
    limits
        Checked by the header, before anything is decoded.
    at_least
        Decode a JPEG at a half, a quarter or an eighth if its shorter side stays at least twice this long: a phone's
        photograph takes a fifth of the time. None decodes every pixel.

    Raises
    ------
    ImageError
        If the file is above a limit, of a format that is not read, damaged or incomplete.
    """
    kind = _check_kind(data, limits)
    try:
        still = first_still(data, kind, most_frames=limits.max_frames)
        _check_size(still, still.size, kind, limits)
        _check_frames(still.frames, limits)
        return _decode(still, kind, limits, at_least)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # a decoder meets a damaged file with any of a dozen kinds
        raise _damaged(kind, error) from error


def to_pixels(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize and crop a picture of mode RGB, as `read_image` returns it; uint8 [crop, crop, 3]."""
    (width, height), left, top = _geometry(image.size, preprocessing)
    crop, resample = preprocessing.crop, _FILTERS[preprocessing.interpolation]
    # Only what the crop needs is resized, in half the time, where the filter can do so: bicubic overshoots and is cut
    # between the two passes, nearest takes a neighbour if a place is rounded.
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


def crop_box(size: tuple[int, int], preprocessing: Preprocessing) -> CropBox:
    """Tell which part of an upright picture of this width and height `to_pixels` cuts out.

    >>> crop_box((512, 256), Preprocessing(resize=256, crop=128))
    CropBox(left=0.375, top=0.25, width=0.25, height=0.5)
    """
    (width, height), left, top = _geometry(size, preprocessing)
    crop = preprocessing.crop
    return CropBox(left / width, top / height, crop / width, crop / height)


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


def _check_kind(data: bytes, limits: ImageLimits) -> str:
    if not data:
        raise ImageError("empty", "The file is empty. Choose the picture again, or save it anew.")
    if len(data) > limits.max_bytes:
        most = f"{limits.max_bytes / 1e6:g} MB"
        raise ImageError("too_many_bytes", f"The file has {len(data) / 1e6:.1f} MB, and {most} is the most. Shrink it.")
    kind = headers.sniff(data)
    if kind is None:
        said = f"The file holds no picture that can be read, whatever its name says. Send {_NAMES}."
        raise ImageError("not_an_image", said)
    if kind not in FORMATS:
        raise ImageError("unsupported_format", f"{kind} is not read. Save the picture as {_NAMES}.")
    return kind


def _check_size(still: Still, size: tuple[int, int], kind: str, limits: ImageLimits) -> None:
    width, height = size
    if kind != JPEG or still.scalable:
        _check_pixels(size, limits.max_pixels if still.scalable else limits.max_pixels_whole, kind)
    else:
        _check_pixels(size, limits.max_pixels_whole, "progressive or CMYK JPEG")
    if min(width, height) < limits.min_side:
        said = f"The picture is {width} x {height} pixels, and each side needs at least {limits.min_side}."
        raise ImageError("too_small", f"{said} Send a larger one.")


def _check_pixels(size: tuple[int, int], most: int, what: str) -> None:
    if math.prod(size) > most:
        said = f"The picture is {size[0]} x {size[1]} pixels, and {most:,} are the most for {what}. Shrink it."
        raise ImageError("too_many_pixels", said)


def _check_frames(frames: int, limits: ImageLimits) -> None:
    if frames > limits.max_frames:
        said = f"The file has more than {limits.max_frames} frames. Send a single picture."
        raise ImageError("too_many_frames", said)


def _decode(still: Still, kind: str, limits: ImageLimits, at_least: int | None) -> Image.Image:
    """Decode and turn a picture, a large one while no other thread decodes a large one."""
    image = _READERS[kind](io.BytesIO(still.data))
    _check_size(still, image.size, kind, limits)
    if at_least is not None:
        image.draft("RGB", (2 * at_least, 2 * at_least))
        _check_pixels(image.size, limits.max_pixels_whole, f"{kind} of this shape")
    held = math.prod(image.size if still.scalable else still.size)
    with _ONE_AT_A_TIME if held > LARGE else nullcontext():
        image.load()
        plain = _to_rgb(image)
        del image  # it has buffers of its own
        return _upright(plain, still.turn)


def _damaged(kind: str, error: Exception) -> ImageError:
    if isinstance(error, CrowdedError):
        return ImageError("damaged", f"The {kind} file has {error}, which no camera writes. Save it anew.")
    if "truncated" in str(error).lower():
        said = f"The {kind} file breaks off before its end. Send it again, or save it anew."
        return ImageError("truncated", said)
    return ImageError("damaged", f"The file begins as {kind}, but cannot be decoded: it is damaged. Save it anew.")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip and not scale
        grey = np.asarray(image)
        seen = np.where(grey == image.info.get("transparency", -1), 255, grey >> 8)
        return Image.fromarray(seen.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        colour = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(colour, mask=colour)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
