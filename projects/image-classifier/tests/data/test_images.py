"""Every kind of file becomes the same picture; what is none is refused with its reason."""

import io
import struct
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import chunk, encoded, noise, png, random_picture
from PIL import Image, ImageOps

from image_classifier.data.headers import FORMATS
from image_classifier.data.images import _UPRIGHT, ImageError, ImageLimits, prepare, read_image
from image_classifier.data.preprocessing import Preprocessing, to_pixels

LIMITS = ImageLimits()
SMALL = Preprocessing(resize=64, crop=56)


def colors(image: Image.Image) -> list[list[int]]:
    """Return the pixels of the first row."""
    return np.asarray(image)[0].tolist()


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(data, limits=limits)
    return caught.value


def frame(marker: bytes, bits: int = 8) -> bytes:
    """Return a JPEG that declares another process or depth."""
    at = (data := encoded(noise(16, 16), "JPEG")).index(b"\xff\xc0")
    return data[:at] + marker + data[at + 2 : at + 4] + bytes([bits]) + data[at + 5 :]


# Every kind of file becomes the same picture


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_lossless_file_gives_its_pixels(kind, options) -> None:
    image = noise(40, 30)

    np.testing.assert_array_equal(np.asarray(read_image(encoded(image, kind, **options), limits=LIMITS)), image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_picture_is_turned_upright(kind, orientation) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(40, 24), kind, exif=exif)

    upright = read_image(data, limits=LIMITS)

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(expected.convert("RGB")))
    assert upright.size == ((24, 40) if orientation > 4 else (40, 24))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("noted", ["in boxes", "in EXIF data alone"])
def test_a_heic_is_turned_upright_once(noted, orientation) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = random_picture(0)
    if noted == "in boxes":  # so Pillow saves what it opened; the EXIF data are kept and count no more
        source.info["exif"] = exif.tobytes()
        data = encoded(source, "HEIC")
    else:
        data = encoded(source, "HEIC", exif=exif)

    upright = read_image(data, limits=LIMITS)

    lying = read_image(encoded(random_picture(0), "HEIC"), limits=LIMITS)
    turned = lying if orientation == 1 else lying.transpose(_UPRIGHT[orientation])
    assert (b"irot" in data or b"imir" in data) == (noted == "in boxes" and orientation > 1)
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(turned))


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_pictures_of_phones_are_what_they_were(kind) -> None:
    image = random_picture(3)
    decoded = read_image(encoded(image, kind, quality=90), limits=LIMITS)

    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(image)).mean() < 4
    half_red = encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 51)), kind, quality=100)
    assert np.abs(np.asarray(read_image(half_red, limits=LIMITS)).astype(int)[30, 30] - [255, 204, 204]).max() < 4
    gray = encoded(Image.new("L", (64, 64), 77), kind, quality=100)
    assert np.abs(np.asarray(read_image(gray, limits=LIMITS)).astype(int)[30, 30] - 77).max() < 4


def test_libheif_is_loaded_for_the_first_heic_only() -> None:
    code = "import sys, image_classifier.data.images; sys.exit('pillow_heif' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")

    assert np.abs(np.asarray(read_image(data, limits=LIMITS)).astype(int) - [255, 0, 0]).max() < 4


@pytest.mark.parametrize(("color", "per_pixel"), [(0, 1), (2, 3)], ids=["gray", "rgb"])
def test_sixteen_bits_are_scaled_and_not_clipped(color, per_pixel) -> None:
    row = b"\0" + b"".join(struct.pack(">H", value) * per_pixel for value in [0, 256, 32768, 65535] * 4)

    image = read_image(png(16, 16, row * 16, bits=16, color=color), limits=LIMITS)

    assert colors(image)[:4] == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_what_is_transparent_lies_on_white() -> None:
    half_red = encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 51)), "PNG")
    assert colors(read_image(half_red, limits=LIMITS))[0] == [255, 204, 204]

    gray_alpha = Image.new("LA", (16, 16), (100, 0))
    assert colors(read_image(encoded(gray_alpha, "PNG"), limits=LIMITS))[0] == [255] * 3

    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.putpixel((0, 0), 0)
    for kind in ("PNG", "GIF"):
        data = encoded(palette, kind, transparency=0)
        assert colors(read_image(data, limits=LIMITS))[:2] == [[255] * 3, [10, 20, 30]]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_gray_is_white(bits) -> None:
    row = b"\0" + bytes([0, 30] * 8) if bits == 8 else b"\0" + struct.pack(">16H", *[0, 30_000] * 8)
    key = chunk(b"tRNS", struct.pack(">H", 30 if bits == 8 else 30_000))

    image = read_image(png(16, 16, row * 16, bits=bits, extra=key), limits=LIMITS)

    assert colors(image)[:2] == [[0] * 3, [255] * 3]


def test_one_bit_and_gray_become_rgb() -> None:
    assert colors(read_image(png(16, 16, b"\0\xaa\xaa" * 16, bits=1), limits=LIMITS))[:2] == [[255] * 3, [0] * 3]
    assert colors(read_image(encoded(Image.new("L", (16, 16), 77), "PNG"), limits=LIMITS))[0] == [77] * 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_read(kind) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    data = encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
    )

    assert colors(read_image(data, limits=LIMITS))[0] == [255, 0, 0]


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


def test_of_a_file_with_several_pictures_the_first_is_read() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(stream, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))])

    image = read_image(stream.getvalue(), limits=LIMITS)

    assert (image.size, colors(image)[0]) == ((32, 24), [254, 0, 0])


# Files that are refused, each for its reason


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "empty", "empty"),
        (b"\xff\xd8\xff" + bytes(10_000_000), "too_many_bytes", "10 MB"),
        (b"Dear diary, this is no picture.", "not_an_image", "JPEG, PNG, WebP, GIF, HEIC or AVIF"),
        (b"<!doctype html><html><img src=x></html>", "not_an_image", "no picture"),
        (b"PK\x03\x04" + bytes(100), "not_an_image", "no picture"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (b"\xef\xbb\xbf  <SVG onload='alert(1)'/>", "unsupported_format", "SVG"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "damaged", "HEIC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "damaged", "AVIF"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "unsupported_format", "MP4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "unsupported_format", "MOV"),
        (frame(b"\xff\xc1", bits=12), "unsupported_format", "a JPEG of 12 bits a channel"),
        (frame(b"\xff\xc3"), "unsupported_format", "lossless"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "unsupported_format", "TIFF"),
        (encoded(Image.new("RGB", (8, 8)), "BMP"), "unsupported_format", "BMP"),
        (b"%PDF-1.7\n", "unsupported_format", "PDF"),
        (png(0, 10), "too_small", "0 x 10"),
        (png(0, 0), "too_small", "0 x 0"),
        (encoded(Image.new("RGB", (200, 15)), "JPEG"), "too_small", "200 x 15"),
        (b"GIF89a\x00\x00\x00\x00\x00\x00\x00;", "too_small", "0 x 0"),
        (b"\x89PNG\r\n\x1a\n", "damaged", "damaged"),
        (b"\xff\xd8\xff\xe0", "damaged", "JPEG"),
        (b"RIFF\x04\x00\x00\x00WEBP", "damaged", "WEBP"),
        (b"GIF89a", "damaged", "GIF"),
    ],
    ids=lambda value: repr(value)[:20] if isinstance(value, bytes) else "",
)
def test_what_is_no_picture_says_why(data, code, says) -> None:
    error = refusal(data)

    assert error.code == code
    assert says in str(error)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_breaks_off_is_truncated(kind) -> None:
    data = encoded(noise(200, 100), kind)

    assert refusal(data[: len(data) // 2]).code == "truncated"


SEEDS = {kind: encoded(noise(24, 20), kind) for kind in FORMATS}


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
