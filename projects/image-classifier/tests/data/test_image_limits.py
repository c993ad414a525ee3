"""No file can do harm: bombs are refused by their headers, and what is decoded stays within its memory."""

import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from picture_files import encoded, noise, png
from PIL import Image

from image_classifier.data import av1, images
from image_classifier.data.images import ImageError, ImageLimits, read_image

LIMITS = ImageLimits()


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(data, limits=limits)
    return caught.value


def vp8x(width: int, height: int) -> bytes:
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"WEBPVP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def gif(width: int, height: int, *frames: tuple[int, int]) -> bytes:
    """Write a GIF whose frames declare a size and hold one pixel."""
    blocks = [b"\x2c" + struct.pack("<HHHHB", 0, 0, *size, 0) + b"\x02\x02\x44\x01\x00" for size in frames]
    palette = bytes(6)
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette + b"".join(blocks) + b";"


def jpeg(width: int, height: int, *, mode: str = "RGB", progressive: bool = False) -> bytes:
    """Return a small JPEG that declares another size."""
    data = bytearray(encoded(Image.new(mode, (16, 16)), "JPEG", progressive=progressive))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def boxed(kind: str, width: int, height: int) -> bytes:
    """Return a small HEIC or AVIF that declares another size."""
    data = encoded(Image.new("RGB", (64, 64)), kind)
    return data.replace(struct.pack(">4sIII", b"ispe", 0, 64, 64), struct.pack(">4sIII", b"ispe", 0, width, height))


BOMBS = {
    "PNG": png(60_000, 60_000, bytes(1_000_000)),
    "PNG, the largest": png(2**31 - 1, 2**31 - 1),
    "JPEG": jpeg(65_500, 65_500),
    "WebP": vp8x(2**24, 255),
    "WebP, lossless": b"RIFF\x16\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f" + b"\xff" * 9,
    "GIF": gif(65_535, 65_535, (16, 16)),
    "GIF, in its frame": gif(16, 16, (65_535, 65_535)),
    "JPEG, progressive": jpeg(5000, 5000, progressive=True),
    "JPEG, CMYK": jpeg(5000, 5000, mode="CMYK"),
    "JPEG, a strip": jpeg(65_500, 600),
    "HEIC": boxed("HEIC", 65_535, 65_535),
    "AVIF": boxed("AVIF", 4_950, 4_950),
    "WebP, 1 kB": encoded(Image.new("RGB", (4001, 4000)), "WEBP", lossless=True),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_by_its_header(data, monkeypatch) -> None:
    def decode(*_: object) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)

    with pytest.raises(ImageError) as caught:
        read_image(data, limits=LIMITS, at_least=232)
    assert caught.value.code == "too_many_pixels"


def test_what_is_larger_than_its_box_says_is_not_decoded(monkeypatch) -> None:
    heic = encoded(Image.new("RGB", (400, 400)), "HEIC")
    small = heic.replace(struct.pack(">4sIII", b"ispe", 0, 400, 400), struct.pack(">4sIII", b"ispe", 0, 64, 64))
    assert small != heic
    assert refusal(small).code == "damaged"
    monkeypatch.setattr(av1, "MOST_FRAME", 2**16)
    assert refusal(encoded(Image.new("RGB", (300, 300)), "AVIF")).code == "damaged"


def test_a_file_of_too_many_parts_is_refused_before_it_is_opened(monkeypatch) -> None:
    def read(*_: object, **__: object) -> None:
        pytest.fail("a decoder was asked")

    data = encoded(noise(16, 16), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    monkeypatch.setattr("PIL.ImageFile.ImageFile.__init__", read)

    error = refusal(data[:-2] + 100 * scan + b"\xff\xd9")

    assert error.code == "damaged"
    assert "more than 100 scans" in str(error)


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch) -> None:
    now = most = 0
    load = Image.Image.transpose

    def watched(image: Image.Image, how: Image.Transpose) -> Image.Image:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        time.sleep(0.02)
        now -= 1
        return load(image, how)

    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(noise(32, 24), "PNG", exif=exif)
    monkeypatch.setattr(Image.Image, "transpose", watched)
    monkeypatch.setattr(images, "LARGE", 32 * 24 - 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: read_image(data, limits=LIMITS), range(8)))

    assert most == 1


MEASURE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from image_classifier.data.images import ImageLimits, prepare
from image_classifier.data.preprocessing import Preprocessing

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def read(name):
    return prepare(Path(name).read_bytes(), Preprocessing(232, 224), limits=ImageLimits())

read(sys.argv[1])
before = peak()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(read, sys.argv[2:]))
print((peak() - before) // 1024)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel counts no peak of a process's memory")
@pytest.mark.parametrize(
    "kind", ["AVIF", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("WEBP", "PNG", "JPEG", "CMYK"))]
)
def test_two_of_the_largest_pictures_stay_below_what_is_planned_for_them(kind, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"lossless": True} if kind == "WEBP" else {"progressive": True} if kind in ("JPEG", "CMYK") else {}
    mode = {"JPEG": "RGB", "CMYK": "CMYK", "AVIF": "RGB"}.get(kind, "RGBA")
    size = (5712, 4284) if kind == "AVIF" else (4000, 4000)
    image = Image.new(mode, size, (1, 2, 3, 100)[: len(mode)])
    (tmp_path / "small").write_bytes(encoded(noise(16, 16), "PNG" if kind == "CMYK" else kind))
    (tmp_path / "large").write_bytes(encoded(image, kind.replace("CMYK", "JPEG"), exif=exif, **options))
    files = [str(tmp_path / name) for name in ("small", "large", "large", "large")]

    grown = int(subprocess.run([sys.executable, "-c", MEASURE, *files], check=True, capture_output=True).stdout)

    # MB: 16 million pixels at 16 bytes, and in the other thread the result of the one before at 4; 10 for the rest.
    assert grown <= (225 + 94 if kind == "AVIF" else 245 + 62) + 15


def test_limits_are_the_callers() -> None:
    data = png(100, 100, (b"\0" + bytes(100)) * 100)

    assert read_image(data, limits=ImageLimits(max_pixels_whole=10_000, max_bytes=len(data))).size == (100, 100)
    assert refusal(data, ImageLimits(max_pixels_whole=9_999)).code == "too_many_pixels"
    assert refusal(data, ImageLimits(max_bytes=len(data) - 1)).code == "too_many_bytes"
    assert refusal(data, ImageLimits(min_side=101)).code == "too_small"


def test_a_jpeg_may_be_larger_than_what_is_decoded_whole() -> None:
    limits = ImageLimits(max_pixels=4800, max_pixels_whole=4799)
    image = noise(80, 60)

    assert read_image(encoded(image, "JPEG"), limits=limits).size == (80, 60)
    assert refusal(encoded(noise(80, 61), "JPEG"), limits).code == "too_many_pixels"
    for kind in ("PNG", "WEBP", "GIF"):
        assert refusal(encoded(image, kind), limits).code == "too_many_pixels"


@pytest.mark.parametrize("frames", [501, 100_000])
def test_a_gif_of_thousands_of_frames_is_refused_without_reading_them(frames) -> None:
    error = refusal(gif(16, 16, *[(16, 16)] * frames))

    assert error.code == "too_many_frames"
    assert "500" in str(error)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_number_of_frames_is_bounded(kind) -> None:
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in range(0, 250, 50)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])

    assert read_image(data, limits=ImageLimits(max_frames=5)).size == (16, 16)
    assert refusal(data, ImageLimits(max_frames=4)).code == "too_many_frames"
