"""Pixels equal to torchvision's, every kind of file read correctly, and none that can do harm."""

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode, v2

from image_classifier.data import images
from image_classifier.data.headers import sniff
from image_classifier.data.images import (
    CropBox,
    ImageError,
    ImageLimits,
    Preprocessing,
    crop_box,
    prepare,
    read_image,
    to_pixels,
)

LIMITS = ImageLimits()
SMALL = Preprocessing(resize=64, crop=56)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes = b"", *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """Write a PNG by hand: any depth, any declared size. Colour types: 0 grey, 2 RGB, 3 palette, 4 grey and alpha."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def colours(image: Image.Image) -> list[list[int]]:
    """Return the pixels of the first row."""
    return np.asarray(image)[0].tolist()


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(data, limits=limits)
    return caught.value


def assert_alike(pixels: np.ndarray, expected: np.ndarray, *, exactly: bool) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= (0 if exactly else 2)


# The model's input is that of the training library

SIZES = [(500, 375), (375, 500), (224, 224), (256, 256), (8, 8), (9, 301), (640, 427), (333, 501), (100, 37), (1, 80)]


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


def test_a_picture_of_the_right_size_is_left_as_it_is() -> None:
    image = noise(64, 64)

    np.testing.assert_array_equal(to_pixels(image, Preprocessing(64, 64)), np.asarray(image))


def test_the_crop_is_told_as_a_part_of_the_picture() -> None:
    assert crop_box((500, 375), Preprocessing(375, 375)) == CropBox(62 / 500, 0, 375 / 500, 1)
    # Black is added: the model sees more than the picture, the same on each side.
    box = crop_box((100, 100), Preprocessing(resize=50, crop=100))
    assert box == CropBox(-0.5, -0.5, 2, 2)


@pytest.mark.parametrize("wrong", [{"resize": 0}, {"crop": -1}, {"interpolation": "lanczos"}])
def test_a_preprocessing_that_means_nothing_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        Preprocessing(**{"resize": 8, "crop": 8} | wrong)


# Every kind of file becomes the same picture


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_lossless_file_gives_its_pixels(kind, options) -> None:
    image = noise(40, 30)

    np.testing.assert_array_equal(np.asarray(read_image(encoded(image, kind, **options), limits=LIMITS)), image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_upright(kind, orientation) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(40, 24), kind, exif=exif)

    upright = read_image(data, limits=LIMITS)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(expected.convert("RGB")))
    assert upright.size == ((24, 40) if orientation > 4 else (40, 24))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "notes", [b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00" + b"\xff" * 99]
)
def test_damaged_notes_do_not_make_a_picture_unreadable(notes) -> None:
    image = Image.new("RGB", (16, 12), "blue")

    assert read_image(encoded(image, "JPEG", exif=notes), limits=LIMITS).size == (16, 12)


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")

    assert np.abs(np.asarray(read_image(data, limits=LIMITS)).astype(int) - [255, 0, 0]).max() < 4


@pytest.mark.parametrize(("colour", "per_pixel"), [(0, 1), (2, 3)], ids=["grey", "rgb"])
def test_sixteen_bits_are_scaled_and_not_clipped(colour, per_pixel) -> None:
    row = b"\0" + b"".join(struct.pack(">H", value) * per_pixel for value in [0, 256, 32768, 65535] * 2)

    image = read_image(png(8, 8, row * 8, bits=16, colour=colour), limits=LIMITS)

    assert colours(image)[:4] == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_what_is_transparent_lies_on_white() -> None:
    half_red = encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 51)), "PNG")
    assert colours(read_image(half_red, limits=LIMITS))[0] == [255, 204, 204]

    grey_alpha = Image.new("LA", (8, 8), (100, 0))
    assert colours(read_image(encoded(grey_alpha, "PNG"), limits=LIMITS))[0] == [255] * 3

    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.putpixel((0, 0), 0)
    for kind in ("PNG", "GIF"):
        data = encoded(palette, kind, transparency=0)
        assert colours(read_image(data, limits=LIMITS))[:2] == [[255] * 3, [10, 20, 30]]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_grey_is_white(bits) -> None:
    row = b"\0" + bytes([0, 30] * 4) if bits == 8 else b"\0" + struct.pack(">8H", *[0, 30_000] * 4)
    key = chunk(b"tRNS", struct.pack(">H", 30 if bits == 8 else 30_000))

    image = read_image(png(8, 8, row * 8, bits=bits, extra=key), limits=LIMITS)

    assert colours(image)[:2] == [[0] * 3, [255] * 3]


def test_one_bit_and_grey_become_rgb() -> None:
    assert colours(read_image(png(8, 8, b"\0\xaa" * 8, bits=1), limits=LIMITS))[:2] == [[255] * 3, [0] * 3]
    assert colours(read_image(encoded(Image.new("L", (8, 8), 77), "PNG"), limits=LIMITS))[0] == [77] * 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_read(kind) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )

    assert colours(read_image(data, limits=LIMITS))[0] == [255, 0, 0]


def test_a_large_jpeg_is_decoded_smaller_only_while_twice_the_side_is_left() -> None:
    data = encoded(Image.radial_gradient("L").resize((1600, 1200)).convert("RGB"), "JPEG")

    sizes = [read_image(data, limits=LIMITS, at_least=side).size for side in (601, 600, 300, 150, 75, 10)]

    assert sizes == [(1600, 1200), (1600, 1200), (800, 600), (400, 300), (200, 150), (200, 150)]
    whole = to_pixels(read_image(data, limits=LIMITS), SMALL).astype(int)
    assert np.abs(prepare(data, SMALL, limits=LIMITS) - whole).mean() < 1


def test_a_file_of_a_phone_is_turned_after_it_was_decoded_smaller() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (1600, 1200), "black")
    image.paste("white", (0, 0, 800, 1200))  # the left half; upright it is the upper one

    pixels = prepare(encoded(image, "JPEG", exif=exif), SMALL, limits=LIMITS)

    assert pixels[:20].min() > 240
    assert pixels[-20:].max() < 15


def test_a_picture_with_something_behind_it_is_that_picture() -> None:
    image = noise(40, 30)
    for kind in ("JPEG", "PNG", "GIF"):
        data = encoded(image, kind)
        behind = data + b"PK\x03\x04" + b"<html><script>alert(1)</script>" + bytes(1000)
        np.testing.assert_array_equal(read_image(behind, limits=LIMITS), read_image(data, limits=LIMITS))


# Files that are refused, each for its reason


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "empty", "empty"),
        (b"\xff\xd8\xff" + bytes(10_000_000), "too_many_bytes", "10 MB"),
        (b"Dear diary, this is no picture.", "not_an_image", "JPEG, PNG, WebP or GIF"),
        (b"<!doctype html><html><img src=x></html>", "not_an_image", "no picture"),
        (b"PK\x03\x04" + bytes(100), "not_an_image", "no picture"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (b"\xef\xbb\xbf  <SVG onload='alert(1)'/>", "unsupported_format", "SVG"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "unsupported_format", "HEIC"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1", "unsupported_format", "AVIF"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "unsupported_format", "TIFF"),
        (encoded(Image.new("RGB", (8, 8)), "BMP"), "unsupported_format", "BMP"),
        (b"%PDF-1.7\n", "unsupported_format", "PDF"),
        (png(0, 10), "too_small", "0 x 10"),
        (png(0, 0), "too_small", "0 x 0"),
        (encoded(Image.new("RGB", (200, 7)), "JPEG"), "too_small", "200 x 7"),
        (b"GIF89a\x00\x00\x00\x00\x00\x00\x00;", "too_small", "0 x 0"),
        (b"\x89PNG\r\n\x1a\n", "damaged", "damaged"),
        (b"\xff\xd8\xff\xe0", "damaged", "JPEG"),
        (b"RIFF\x04\x00\x00\x00WEBP", "damaged", "WEBP"),
        (b"GIF89a", "damaged", "GIF"),
    ],
    ids=lambda value: repr(value)[:20] if isinstance(value, bytes) else "",
)
def test_what_is_no_picture_is_told_why(data, code, says) -> None:
    error = refusal(data)

    assert error.code == code
    assert says in str(error)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_that_breaks_off_is_truncated(kind) -> None:
    data = encoded(noise(200, 100), kind)

    assert refusal(data[: len(data) // 2]).code == "truncated"


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


BOMBS = {
    "PNG": png(60_000, 60_000, bytes(1_000_000)),
    "PNG, the largest": png(2**31 - 1, 2**31 - 1),
    "JPEG": jpeg(65_500, 65_500),
    "WebP": vp8x(2**24, 255),
    "WebP, lossless": b"RIFF\x16\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f" + b"\xff" * 9,
    "GIF": gif(65_535, 65_535, (8, 8)),
    "GIF, in its frame": gif(8, 8, (65_535, 65_535)),
    "JPEG, progressive": jpeg(5000, 5000, progressive=True),
    "JPEG, CMYK": jpeg(5000, 5000, mode="CMYK"),
    "JPEG, a strip": jpeg(65_500, 600),
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


def test_a_file_of_too_many_parts_is_refused_before_it_is_opened(monkeypatch) -> None:
    def read(*_: object, **__: object) -> None:
        pytest.fail("a decoder was asked")

    data = encoded(noise(16, 16), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    monkeypatch.setattr("PIL.ImageFile.ImageFile.__init__", read)

    error = refusal(data[:-2] + 100 * scan + b"\xff\xd9")

    assert error.code == "damaged"
    assert "more than 100 scans" in str(error)


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": 0}, {"progressive": True, "optimize": True}]
)
def test_ordinary_photographs_pass(options) -> None:
    image = Image.radial_gradient("L").resize((4032, 3024)).convert("RGB")
    profile = bytes(range(256)) * 600  # in three segments

    decoded = read_image(encoded(image, "JPEG", icc_profile=profile, **options), limits=LIMITS, at_least=232)

    assert decoded.size == (1008, 756)


def test_a_baseline_photograph_of_48_megapixels_passes() -> None:
    data = encoded(Image.new("RGB", (8064, 6048), "teal"), "JPEG")

    assert read_image(data, limits=LIMITS, at_least=232).size == (1008, 756)


def test_a_png_with_a_profile_passes() -> None:
    image = noise(40, 30)

    np.testing.assert_array_equal(read_image(encoded(image, "PNG", icc_profile=bytes(9000)), limits=LIMITS), image)


def test_of_a_file_with_several_pictures_the_first_is_read() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(stream, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])

    image = read_image(stream.getvalue(), limits=LIMITS)

    assert (image.size, colours(image)[0]) == ((32, 24), [254, 0, 0])


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
from image_classifier.data.images import ImageLimits, Preprocessing, prepare

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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no peak of a process's memory")
@pytest.mark.parametrize("kind", ["WEBP", "PNG", "JPEG", "CMYK"])
def test_two_of_the_largest_pictures_stay_below_what_is_planned_for_them(kind, tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"lossless": True} if kind == "WEBP" else {"progressive": True} if kind in ("JPEG", "CMYK") else {}
    mode = {"JPEG": "RGB", "CMYK": "CMYK"}.get(kind, "RGBA")
    image = Image.new(mode, (4000, 4000), (1, 2, 3, 100)[: len(mode)])
    (tmp_path / "small").write_bytes(encoded(noise(16, 16), "PNG" if kind == "CMYK" else kind))
    (tmp_path / "large").write_bytes(encoded(image, kind.replace("CMYK", "JPEG"), exif=exif, **options))
    files = [str(tmp_path / name) for name in ("small", "large", "large", "large")]

    grown = int(subprocess.run([sys.executable, "-c", MEASURE, *files], check=True, capture_output=True).stdout)

    # MB: 16 million pixels at 16 bytes, and in the other thread the result of the one before at 4; 10 for the rest.
    assert grown <= 245 + 62 + 10


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
    error = refusal(gif(8, 8, *[(8, 8)] * frames))

    assert error.code == "too_many_frames"
    assert "500" in str(error)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_number_of_frames_is_bounded(kind) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in range(0, 250, 50)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])

    assert read_image(data, limits=ImageLimits(max_frames=5)).size == (8, 8)
    assert refusal(data, ImageLimits(max_frames=4)).code == "too_many_frames"


SEEDS = {kind: encoded(noise(24, 20), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data) -> None:
    original = SEEDS[data.draw(st.sampled_from(sorted(SEEDS)))]
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))

    image: Image.Image | None = None
    with suppress(ImageError):
        image = read_image(bytes(damaged[:end]), limits=ImageLimits(max_pixels=1_000_000, max_pixels_whole=1_000_000))

    assert image is None or (image.mode == "RGB" and image.width * image.height <= 1_000_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_sniffed(data) -> None:
    assert sniff(data) is None or isinstance(sniff(data), str)
