"""Pictures of every mode in every container that Pillow writes, whole and broken: read, or refused with a reason."""

import io
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from image_classifier.data.headers import FORMATS, sniff
from image_classifier.data.images import ImageError, ImageLimits, prepare
from image_classifier.data.preprocessing import Preprocessing

pytestmark = [pytest.mark.suite, pytest.mark.long]

MODES = (
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "La",
    "PA",
    "RGBa",
    "RGBX",
    "I;16",
)
SIZES = ((1, 1), (1, 300), (8, 8), (31, 17), (300, 200))
SECONDS = 20.0
SMALL = Preprocessing(resize=48, crop=40)
LIMITS = ImageLimits()
VARIANTS = {
    "JPEG": [{"quality": 5}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 1}],
    "PNG": [{"compress_level": 0}, {"optimize": True}, {"bits": 4}],
    "WEBP": [{"lossless": True}, {"quality": 1, "method": 0}],
    "GIF": [{"interlace": 0}, {"transparency": 0}],
    "TIFF": [{"compression": "tiff_lzw"}, {"compression": "jpeg"}],
    "HEIF": [{"quality": 10}, {"chroma": 444}],
    "AVIF": [{"quality": 10, "speed": 10}, {"subsampling": "4:4:4", "speed": 10}],
}
"""Ways to save, beside the usual one."""


def picture(mode: str, size: tuple[int, int]) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    color = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    for via in ((), ("RGBA",), ("LA",), ("L",), ("P",)):
        try:
            image = color
            for step in (*via, mode):
                image = image.convert(step)
        except ValueError:
            continue
        return image
    return Image.new(mode, size)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield what Pillow can write: mode, container, size and way of saving, as a name and a file."""
    pillow_heif.register_heif_opener()
    Image.init()
    for kind in sorted(Image.SAVE):
        if kind == "PDF" or kind.startswith("HDF5"):
            continue
        for mode in MODES:
            # The encoder of HEIC takes longest: small ones of it.
            for size in SIZES[:4] if kind in ("HEIF", "AVIF") else SIZES:
                for options in [{}, *VARIANTS.get(kind, [])] if size == (31, 17) else [{}]:
                    stream = io.BytesIO()
                    try:
                        with warnings.catch_warnings(action="ignore"):
                            picture(mode, size).save(stream, kind, **options)
                    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SyntaxError):
                        continue  # no such mode in this container
                    yield f"{kind} {mode} {size} {options}", stream.getvalue()


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    return dict(files())


def outcome(data: bytes) -> str:
    """Return ``read`` or why not; anything else than a picture or an `ImageError` fails the test."""
    reason, code = None, "read"
    try:
        pixels = prepare(data, SMALL, limits=LIMITS)
    except ImageError as error:
        reason, code = str(error), error.code
    if reason is None:
        assert (pixels.shape, pixels.dtype) == ((40, 40, 3), np.uint8)
    else:
        assert reason.endswith(".")
        assert len(reason) < 250
    return code


def test_what_is_written_in_a_format_that_is_read_is_read_but_for_its_size(written) -> None:
    begun, refused = time.perf_counter(), {}
    of_formats = {name: data for name, data in written.items() if sniff(data) in FORMATS}
    assert {sniff(data) for data in of_formats.values()} == set(FORMATS)
    assert len(of_formats) > 300
    for name, data in of_formats.items():
        if (code := outcome(data)) not in ("read", "too_small"):
            refused[name] = code
        # libheif enlarges what is smaller than its blocks and cuts it again.
        assert (code == "too_small") == any(side in name for side in ("(1, ", "(8, ")), (name, code)
    assert not refused
    assert time.perf_counter() - begun < SECONDS


def test_what_is_written_in_another_format_is_refused_by_name(written) -> None:
    others = {name: data for name, data in written.items() if sniff(data) not in FORMATS}
    assert len(others) > 100
    assert {outcome(data) for data in others.values()} == {"unsupported_format", "not_an_image"}


def test_a_file_that_is_cut_or_damaged_anywhere_is_read_or_refused(written) -> None:
    rng = np.random.default_rng(0)
    whole = [data for name, data in written.items() if sniff(data) in FORMATS and "(31, 17)" in name]
    codes = set()
    for _ in range(2000):
        data = bytearray(whole[rng.integers(len(whole))])
        kind = rng.integers(3)
        if kind == 0:
            del data[rng.integers(1, len(data)) :]
        elif kind == 1:
            for _ in range(int(rng.integers(1, 8))):
                data[rng.integers(len(data))] = rng.integers(256)
        else:
            at, length = rng.integers(len(data)), rng.integers(1, 40)
            data[at:at] = rng.bytes(length)
        codes.add(outcome(bytes(data)))
    assert {"read", "truncated", "damaged"} <= codes
