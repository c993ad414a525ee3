"""What is handed to a decoder: one picture without notes, and no file whose parts would keep it busy for hours."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import chunk
from picture_files import encoded as encoded_file
from PIL import Image

from image_classifier.data import stills
from image_classifier.data.headers import FORMATS, HeaderError
from image_classifier.data.stills import MOST_PARTS, MOST_SCANS, CrowdedError, Still, first_still, turn_of


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    stream = io.BytesIO()
    (image or Image.radial_gradient("L").resize((40, 24)).convert("RGB")).save(stream, kind, **options)
    return stream.getvalue()


def still(data: bytes, kind: str) -> Still:
    return first_still(data, kind, most_frames=500)


def segment(kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, kind, 2 + len(data)) + data


JPEG, PNG, GIF = (encoded(kind) for kind in ("JPEG", "PNG", "GIF"))
PROGRESSIVE = encoded("JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
HEIC, AVIF = (
    encoded_file(Image.radial_gradient("L").resize((64, 40)).convert("RGB"), kind) for kind in ("HEIC", "AVIF")
)
FILES = {"JPEG": JPEG, "PNG": PNG, "GIF": GIF, "HEIC": HEIC, "AVIF": AVIF}
WEBP = FILES["WEBP"] = encoded("WEBP", exif=Image.Exif().tobytes() + bytes(2))
PROFILE = zlib.compress(bytes(1_000_000))

CROWDED = {
    "JPEG of 1,000 scans": PROGRESSIVE[:-2] + 1000 * LAST_SCAN + b"\xff\xd9",
    "JPEG with comments before its scan": JPEG[:2] + 2_000_000 * segment(0xFE) + JPEG[2:],
    "JPEG with comments behind its scan": JPEG[:-2] + 2_000_000 * segment(0xFE) + JPEG[-2:],
    "JPEG of tables": JPEG[:2] + 4000 * segment(0xDB, bytes([0]) + 64 * b"\1") + JPEG[2:],
    "PNG of empty chunks": PNG[:33] + 800_000 * chunk(b"teSt") + PNG[33:],
    "PNG of empty pieces": PNG[:33] + 800_000 * chunk(b"IDAT") + PNG[33:],
    "GIF of tiny blocks": GIF[:-1] + b"\x21\xfe" + 2_000_000 * b"\1a" + b"\0;",
    "GIF of empty extensions": GIF[:-1] + 1_000_000 * b"\x21\xfe\0" + b";",
    "GIF with padding": GIF[:-1] + bytes(2_000_000),
    "WebP of empty chunks": WEBP[:4]
    + struct.pack("<I", len(WEBP) - 8 + 8_000_000)
    + WEBP[8:]
    + 1_000_000 * b"none\0\0\0\0",
}


@pytest.mark.parametrize("name", CROWDED)
def test_a_file_of_too_many_parts_is_refused(name) -> None:
    kind = {"JPEG": "JPEG", "PNG": "PNG", "GIF": "GIF", "WebP": "WEBP"}[name.split()[0]]

    with pytest.raises(CrowdedError, match="more than"):
        still(CROWDED[name], kind)


def test_scans_are_counted_to_the_end_of_the_picture_only() -> None:
    film = b"\xff\xda\0\x08" * 1000  # phones put one behind the picture

    assert still(PROGRESSIVE + film, "JPEG").data == still(PROGRESSIVE, "JPEG").data
    assert still(PROGRESSIVE[:-2] + (MOST_SCANS - 12) * LAST_SCAN + b"\xff\xd9", "JPEG").size == (40, 24)


@pytest.mark.parametrize(
    "hiding", [b"\xff\x01\xff\xff", b"\xff\xd0\xff\xff", b"\xff\x00\xff\xff", b"\xff\xff\xff\x00", b"\0\0"]
)
def test_no_scan_hides_behind_what_libjpeg_skips(hiding) -> None:
    with pytest.raises(CrowdedError, match="scans"):
        still(PROGRESSIVE[:-2] + 200 * (hiding + LAST_SCAN) + b"\xff\xd9", "JPEG")


def test_notes_profiles_and_texts_are_not_handed_on() -> None:
    exif = b"Exif\0\0MM\0*" + bytes(60_000)
    notes = (
        segment(0xE1, exif) + segment(0xE2, b"ICC_PROFILE\0\1\1abc") + segment(0xED, b"Photoshop 3.0\0" + bytes(999))
    )
    assert still(JPEG[:2] + 100 * notes + b"\xff" * 1_000_000 + JPEG[2:], "JPEG").data == still(JPEG, "JPEG").data

    texts = chunk(b"iCCP", b"a\0\0" + PROFILE) + chunk(b"zTXt", b"a\0\0" + PROFILE) + chunk(b"eXIf", bytes(60_000))
    assert still(PNG[:33] + 1000 * texts + PNG[33:], "PNG").data == PNG

    comments = 1000 * b"\x21\xfe\x01a\0"
    head = 13 + 3 * 256
    assert still(GIF[:head] + comments + GIF[head:-1] + comments + b";", "GIF").data == GIF


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_what_is_handed_on_has_the_same_pixels(kind) -> None:
    data = FILES[kind]
    handed_on = still(data, kind)

    assert (handed_on.size, handed_on.frames, handed_on.turn) == ((40, 24), 1, 1)
    with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(handed_on.data)) as part:
        assert part.format == kind
        assert whole.convert("RGB").tobytes() == part.convert("RGB").tobytes()


def test_what_can_be_decoded_at_a_scale_is_marked() -> None:
    cmyk = encoded("JPEG", Image.new("CMYK", (16, 16)))
    gray = encoded("JPEG", Image.new("L", (16, 16)))
    at = JPEG.index(b"\xff\xda") + 4
    in_three_passes = JPEG[:at] + b"\1" + JPEG[at + 1 :]
    arithmetic = JPEG.replace(b"\xff\xc0", b"\xff\xc9")

    scalable = [still(data, "JPEG").scalable for data in (JPEG, gray, PROGRESSIVE, cmyk, in_three_passes, arithmetic)]

    assert scalable == [True, True, False, False, False, False]
    assert not still(PNG, "PNG").scalable


def tiff(order: str, *entries: tuple[int, int, int]) -> bytes:
    """Write a directory of (tag, type, value)."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    sizes = {1: "B3x", 3: "H2x", 4: "I", 2: "I"}
    rows = [struct.pack(order + "HHI" + sizes[kind], tag, kind, 1, value) for tag, kind, value in entries]
    return head + struct.pack(order + "H", len(rows)) + b"".join(rows) + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_is_read_in_every_form(order, prefix) -> None:
    for integer in (1, 3, 4):
        for turn in range(1, 9):
            assert turn_of(prefix + tiff(order, (0x010F, 4, 99), (0x0112, integer, turn))) == turn
    for nonsense in ((0x0112, 3, 0), (0x0112, 3, 9), (0x0112, 2, 6), (0x0113, 3, 6)):
        assert turn_of(prefix + tiff(order, nonsense)) == 1


def test_a_directory_that_asks_for_much_costs_nothing() -> None:
    greedy = tiff(">", *[(0x9000, 4, 8)] * 65_000, (0x0112, 3, 6))

    assert turn_of(greedy) == 6
    assert turn_of(greedy[:60_000]) == 1


@given(st.binary(max_size=60), st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b""]))
def test_damaged_notes_are_upright(notes, head) -> None:
    assert 1 <= turn_of(head + notes) <= 8


@given(st.sampled_from(FORMATS), st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_a_picture_or_an_error(kind, data, kept) -> None:
    begin = FILES[kind][:kept]
    try:
        handed_on = still(begin + data, kind)
    except HeaderError:
        return
    assert len(handed_on.data) <= len(begin + data) + 30


def test_every_format_has_a_walk() -> None:
    assert set(stills._WALKS) == set(FORMATS)
    assert MOST_PARTS * 10_000 >= 200_000_000  # the largest file that a training reads
