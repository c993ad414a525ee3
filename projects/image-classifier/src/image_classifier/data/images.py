"""From the bytes of a file to an upright RGB picture, within limits that are checked before anything is decoded.

Color profiles are ignored, as torchvision does.
"""

import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from image_classifier.data import headers
from image_classifier.data.headers import AVIF, FORMATS, GIF, HEIC, JPEG, PNG, WEBP
from image_classifier.data.preprocessing import Pixels, Preprocessing, to_pixels
from image_classifier.data.stills import CrowdedError, Still, VariantError, first_still

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


def _heic(stream: io.BytesIO) -> ImageFile.ImageFile:
    """Open a HEIC; libheif is loaded for the first one."""
    from pillow_heif.as_plugin import HeifImageFile

    return HeifImageFile(stream)  # type: ignore[no-untyped-call]


# Named and not found by Image.open, which loads every plugin and warns by the limits of its own.
_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    JPEG: JpegImageFile,
    PNG: PngImageFile,
    WEBP: WebPImageFile,
    GIF: GifImageFile,
    HEIC: _heic,
    AVIF: AvifImageFile,
}
_NAMES = "JPEG, PNG, WebP, GIF, HEIC or AVIF"

LARGE = 4_000_000
"""Pixels in memory above which pictures are decoded one at a time in a process. The most that the service needs then,
in MB of 2^20 bytes: model and interpreter 110; 8 bodies of 64 MB, 8 x 70; a picture of 16 million pixels that is
being decoded at 16 bytes each, 245; in the other thread one of 4 million at 16 bytes, or the result of the one before
at 4 bytes a pixel, 62; copies of two files, 20. That is 997, below the 1,024 of its container. Of the largest HEIC or
AVIF it is 225 and 94 in place of 245 and 62, 1,009."""
LEAN = 1.53
"""So many more pixels may a HEIC or AVIF of 8 bits and without transparency have: the 24 megapixels of a phone."""
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
        JPEG, and strips that stay as long as they are at every scale. Of HEIC and AVIF as phones write them, which
        take at most 10 bytes, LEAN times as many.
    max_frames
        Of an animation, of which the first is read.
    min_side
        Least width and height.
    """

    max_bytes: int = 10_000_000
    max_pixels: int = 50_000_000
    max_pixels_whole: int = 16_000_000
    max_frames: int = 500
    min_side: int = 16


class ImageError(ValueError):
    """A file that is not read; the text says why and what to do to a person, the code why to a program."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def prepare(data: bytes, preprocessing: Preprocessing, *, limits: ImageLimits) -> Pixels:
    """Turn the bytes of a file into the model's input, uint8 [crop, crop, 3]. Raises as `read_image`."""
    return to_pixels(read_image(data, limits=limits, at_least=preprocessing.resize), preprocessing)


def read_file(path: Path, limits: ImageLimits) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    ImageError
        If there are more than the limits allow.
    OSError
        If it cannot be read, or is none.
    """
    if not path.is_file():  # a pipe would be waited for without end
        raise FileNotFoundError(0, "it is no file, or a link that leads nowhere")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limits.max_bytes:
            raise _too_many_bytes(size, limits)
        return stream.read()


def read_image(data: bytes, *, limits: ImageLimits, at_least: int | None = None) -> Image.Image:
    """Decode a file into an upright picture of mode RGB: the first frame, what is transparent on white.

    Parameters
    ----------
    at_least
        Decode a JPEG at a half, a quarter or an eighth if its shorter side stays at least twice this long: a phone's
        photograph takes a fifth of the time. HEIC and AVIF are decoded whole, and shrunk likewise before they are
        turned. None keeps every pixel.

    Raises
    ------
    ImageError
        If the file is above a limit, of a format that is not read, damaged or incomplete.
    """
    return decode(find_still(data, limits=limits), limits=limits, at_least=at_least)


def find_still(data: bytes, *, limits: ImageLimits) -> Still:
    """Find the first picture of a file and check it against the limits; nothing is decoded. Raises as `read_image`."""
    kind = _check_kind(data, limits)
    with _naming_damage(kind):
        still = first_still(data, kind, most_frames=limits.max_frames)
        _check_size(still, still.size, limits)
        if still.frames > limits.max_frames:
            reason = f"The file has more than {limits.max_frames} frames. Send a single picture."
            raise ImageError("too_many_frames", reason)
        return still


def open_still(still: Still) -> ImageFile.ImageFile:
    """Read the head of what `find_still` found, as its decoder does."""
    return _READERS[still.kind](io.BytesIO(still.data))


def decode(still: Still, *, limits: ImageLimits, at_least: int | None = None) -> Image.Image:
    """Decode what `find_still` found, one large picture at a time in a process. Raises as `read_image`."""
    with _naming_damage(still.kind):
        image = open_still(still)
        _check_size(still, image.size, limits)
        if at_least is not None and still.kind == JPEG:
            image.draft("RGB", (2 * at_least, 2 * at_least))
            _check_pixels(image.size, limits.max_pixels_whole, f"{still.kind} of this shape")
        held = math.prod(image.size if still.scalable else still.size)
        with _ONE_AT_A_TIME if held > LARGE else nullcontext():
            image.load()
            plain = _to_rgb(image)
            del image  # it has buffers of its own
            if at_least is not None and still.kind in (HEIC, AVIF):
                plain = plain.reduce(max(1, min(plain.size) // (2 * at_least)))
            turn = _UPRIGHT.get(still.turn)
            return plain if turn is None else plain.transpose(turn)


def _too_many_bytes(size: int, limits: ImageLimits) -> ImageError:
    most = f"{limits.max_bytes / 1e6:g} MB"
    return ImageError("too_many_bytes", f"The file has {size / 1e6:.1f} MB, and {most} is the most. Shrink it.")


def _check_kind(data: bytes, limits: ImageLimits) -> str:
    if not data:
        raise ImageError("empty", "The file is empty. Choose the picture again, or save it anew.")
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits)
    kind = headers.sniff(data)
    if kind is None:
        reason = f"The file holds no picture that can be read, whatever its name says. Send {_NAMES}."
        raise ImageError("not_an_image", reason)
    if kind not in FORMATS:
        raise ImageError("unsupported_format", f"{kind} is not read. Save the picture as {_NAMES}.")
    return kind


def _check_size(still: Still, size: tuple[int, int], limits: ImageLimits) -> None:
    if still.kind == JPEG and not still.scalable:
        _check_pixels(size, limits.max_pixels_whole, "progressive or CMYK JPEG")
    else:
        whole = int(limits.max_pixels_whole * LEAN) if still.lean else limits.max_pixels_whole
        _check_pixels(size, limits.max_pixels if still.scalable else whole, still.kind)
    if min(size) < limits.min_side:
        reason = f"The picture is {size[0]} x {size[1]} pixels, and each side needs at least {limits.min_side}."
        raise ImageError("too_small", f"{reason} Send a larger one.")


def _check_pixels(size: tuple[int, int], most: int, what: str) -> None:
    if math.prod(size) > most:
        reason = f"The picture is {size[0]} x {size[1]} pixels, and {most:,} are the most for {what}. Shrink it."
        raise ImageError("too_many_pixels", reason)


@contextmanager
def _naming_damage(kind: str) -> Iterator[None]:
    """Name what is wrong with a file: a decoder meets a damaged one with any of a dozen kinds of error."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except VariantError as error:
        reason = f"The file is {error}, which is not read. Save the picture as an ordinary {kind}."
        raise ImageError("unsupported_format", reason) from error
    except CrowdedError as error:
        raise ImageError("damaged", f"The {kind} file has {error}, which no camera writes. Save it anew.") from error
    except Exception as error:
        if "truncated" in str(error).lower():
            reason = f"The {kind} file breaks off before its end. Send it again, or save it anew."
            raise ImageError("truncated", reason) from error
        reason = f"The file begins as {kind}, but cannot be decoded: it is damaged. Save it anew."
        raise ImageError("damaged", reason) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip and not scale
        gray = np.asarray(image)
        seen = np.where(gray == image.info.get("transparency", -1), 255, gray >> 8)
        return Image.fromarray(seen.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        color = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(color, mask=color)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
