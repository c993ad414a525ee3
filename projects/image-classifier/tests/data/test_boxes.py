"""The boxes of a HEIC or AVIF: which picture is shown first, and no chain of items that would take hours."""

import struct

import pytest
from picture_files import encoded
from PIL import Image

from image_classifier.data.boxes import MOST_ITEMS, find_item
from image_classifier.data.headers import HeaderError, sniff


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(name, bytes([version, 0, 0, 0]), *parts)


def entry(item: int, kind: bytes) -> bytes:
    return full(b"infe", struct.pack(">HH", item, 0), kind, b"\0", version=2)


def heic(
    kinds: dict[int, bytes],
    sizes: dict[int, tuple[int, int]],
    references: list[tuple[bytes, int, list[int]]] = (),  # type: ignore[assignment]
    *,
    extra: tuple[bytes, ...] = (),
    primary: int = 1,
) -> bytes:
    """Write the table of a HEIC without any pixels."""
    links = [
        box(name, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
        for name, source, targets in references
    ]
    numbers = {item: number for number, item in enumerate(sizes, start=1)}
    owned = b"".join(struct.pack(">HBB", item, 1, number) for item, number in numbers.items())
    meta = full(
        b"meta",
        full(b"pitm", struct.pack(">H", primary)),
        full(b"iinf", struct.pack(">H", len(kinds)), *(entry(*each) for each in kinds.items())),
        full(b"iref", *links),
        box(
            b"iprp",
            box(b"ipco", *(full(b"ispe", struct.pack(">II", *size)) for size in sizes.values())),
            full(b"ipma", struct.pack(">I", len(owned) // 4), owned),
        ),
    )
    return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + meta + b"".join(extra) + box(b"mdat", bytes(8))


def test_a_grid_has_the_size_of_the_whole() -> None:
    tiles = dict.fromkeys(range(2, 50), b"hvc1")
    data = heic(
        {1: b"grid"} | tiles,
        {1: (4032, 3024)} | dict.fromkeys(tiles, (512, 512)),
        [(b"dimg", 1, list(tiles))],
    )

    assert find_item(data, "HEIC").size == (4032, 3024)


@pytest.mark.parametrize(
    ("kinds", "sizes", "references", "says"),
    [
        ({1: b"iovl", 2: b"hvc1"}, {1: (64, 64), 2: (64, 64)}, [(b"dimg", 1, [2, 2])], "put together"),
        ({1: b"grid", 2: b"grid"}, {1: (64, 64), 2: (64, 64)}, [(b"dimg", 1, [2, 2])], "put together"),
        ({1: b"grid", 2: b"hvc1"}, {1: (64, 64), 2: (2000, 2000)}, [(b"dimg", 1, [2] * 900)], "more pixels"),
        ({1: b"grid", 2: b"hvc1"}, {1: (64, 64), 2: (64, 64)}, [(b"dimg", 1, [2] * 1001)], "tiles"),
        ({1: b"hvc1", 2: b"grid", 3: b"hvc1"}, {1: (64, 64), 2: (64, 64), 3: (9000, 9000)},
         [(b"auxl", 2, [1]), (b"dimg", 2, [3])], "more pixels"),
        ({1: b"hvc1"}, {}, [], "without a size"),
        ({2: b"hvc1"}, {2: (64, 64)}, [], "put together"),
        (dict.fromkeys(range(1, MOST_ITEMS + 2), b"hvc1"), {1: (64, 64)}, [], "items"),
    ],
    ids=["overlay", "grid of grids", "tiles", "many tiles", "large mask", "no size", "no picture", "items"],
)  # fmt: skip
def test_what_no_camera_writes_is_refused(kinds, sizes, references, says) -> None:
    with pytest.raises(HeaderError, match=says):
        find_item(heic(kinds, sizes, references), "HEIC")


def test_boxes_without_end_are_refused() -> None:
    with pytest.raises(HeaderError, match="more than 20,000 boxes"):
        find_item(heic({1: b"hvc1"}, {1: (64, 64)}, extra=(box(b"free"),) * 20_001), "HEIC")


def test_notes_are_not_handed_on_and_a_film_becomes_its_first_picture() -> None:
    plain = encoded(Image.new("RGB", (64, 64), "teal"), "HEIC", exif=Image.Exif().tobytes(), xmp=b"<x/>")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime")]
    film = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])

    assert b"mime" in plain
    handed_on, moving = find_item(plain, "HEIC"), find_item(film, "AVIF")

    assert b"mime" not in handed_on.data
    assert not handed_on.moving
    assert moving.moving
    assert b"avis" not in moving.data
    assert b"moov" not in moving.data


def test_what_stands_behind_the_picture_is_left_out() -> None:
    data = encoded(Image.new("RGB", (64, 64)), "HEIC")

    assert find_item(data + b"PK\x03\x04" + bytes(1000), "HEIC").data == find_item(data, "HEIC").data


@pytest.mark.parametrize(
    ("major", "others", "name"),
    [
        (b"heic", b"mif1", "HEIC"),
        (b"mif1", b"mif1heic", "HEIC"),
        (b"msf1", b"hevc", "HEIC"),
        (b"mif1", b"miafavif", "AVIF"),
        (b"avis", b"msf1heic", "AVIF"),
        (b"isom", b"avc1", "MP4"),
        (b"crx ", b"isom", "CR3"),
    ],
)
def test_brands_name_the_format(major, others, name) -> None:
    assert sniff(box(b"ftyp", major, bytes(4), others)) == name
