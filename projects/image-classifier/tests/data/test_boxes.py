"""The boxes of a HEIC or AVIF: which picture is shown first, and no chain of items that would take hours."""

import struct
import tracemalloc

import pytest
from picture_files import encoded
from PIL import Image

from image_classifier.data.boxes import MOST_ITEMS, find_item
from image_classifier.data.headers import HeaderError, sniff
from image_classifier.data.images import open_still
from image_classifier.data.stills import first_still

ALPHA = b"urn:mpeg:hevc:2015:auxid:1"
CICP = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
SMALL = (64, 64)


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def full(name: bytes, *parts: bytes, version: int = 0, wide: bool = False) -> bytes:
    return box(name, bytes([version, 0, 0, wide]), *parts)


def entry(item: int, kind: bytes) -> bytes:
    return full(b"infe", struct.pack(">HH", item, 0), kind, b"\0", version=2)


def heic(
    kinds: dict[int, bytes],
    sizes: dict[int, tuple[int, int]],
    references: list[tuple[bytes, int, list[int]]] = (),  # type: ignore[assignment]
    *,
    extra: tuple[bytes, ...] = (),
    tables: tuple[bytes, ...] = (),
    urn: bytes = ALPHA,
) -> bytes:
    """Write the table of a HEIC without any pixels; what an item is for another one's sake is named by the URN."""
    links = [
        box(name, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
        for name, source, targets in references
    ]
    numbers = {item: number for number, item in enumerate(sizes, start=2)}
    owned = b"".join(struct.pack(">HBHH", item, 2, number, 1) for item, number in numbers.items())
    meta = full(
        b"meta",
        full(b"pitm", struct.pack(">H", 1)),
        full(b"iinf", struct.pack(">H", len(kinds)), *(entry(*each) for each in kinds.items())),
        full(b"iref", *links),
        box(
            b"iprp",
            box(
                b"ipco",
                full(b"auxC", urn, b"\0"),
                *(full(b"ispe", struct.pack(">II", *size)) for size in sizes.values()),
            ),
            full(b"ipma", struct.pack(">I", len(sizes)), owned, wide=True),
        ),
        *tables,
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
        ({1: b"iovl", 2: b"hvc1"}, {1: SMALL, 2: SMALL}, [(b"dimg", 1, [2, 2])], "put together"),
        ({1: b"grid", 2: b"grid"}, {1: SMALL, 2: SMALL}, [(b"dimg", 1, [2, 2])], "put together"),
        ({1: b"grid", 0: b"hvc1"}, {1: SMALL, 0: SMALL}, [(b"dimg", 1, [])], "put together"),
        ({1: b"grid", 2: b"hvc1"}, {1: SMALL, 2: (2000, 2000)}, [(b"dimg", 1, [2] * 900)], "more pixels"),
        ({1: b"grid", 2: b"hvc1"}, {1: SMALL, 2: SMALL}, [(b"dimg", 1, [2] * 1001)], "tiles"),
        ({1: b"grid", 2: b"hvc1"}, {1: SMALL, 2: SMALL}, [(b"dimg", 1, [2]), (b"dimg", 1, [2])], "two lists"),
        ({1: b"hvc1", 2: b"grid", 3: b"hvc1"}, {1: SMALL, 2: SMALL, 3: (9000, 9000)},
         [(b"auxl", 2, [1]), (b"dimg", 2, [3])], "more pixels"),
        ({1: b"hvc1", 2: b"hvc1"}, {1: SMALL, 2: (9000, 9000)}, [(b"auxl", 2, [1])], "more pixels"),
        ({1: b"grid", 2: b"hvc1", 3: b"hvc1"}, {1: SMALL, 2: SMALL, 3: (9000, 9000)},
         [(b"dimg", 1, [2]), (b"auxl", 3, [2])], "more pixels"),
        ({1: b"hvc1", 2: b"hvc1", 3: b"hvc1"}, dict.fromkeys((1, 2, 3), SMALL),
         [(b"auxl", 2, [1]), (b"auxl", 3, [1])], "two masks"),
        ({1: b"hvc1", 2: b"hvc1", 3: b"hvc1"}, dict.fromkeys((1, 2, 3), SMALL),
         [(b"auxl", 2, [1]), (b"auxl", 3, [2])], "mask of a mask"),
        ({1: b"grid", 2: b"hvc1", 3: b"grid", 4: b"hvc1"}, dict.fromkeys((1, 2, 3, 4), (1, 1)),
         [(b"dimg", 1, [2] * 900), (b"auxl", 3, [2]), (b"dimg", 3, [4] * 900)], "tiles"),
        ({1: b"hvc1"}, {}, [], "without a size"),
        ({2: b"hvc1"}, {2: SMALL}, [], "put together"),
        (dict.fromkeys(range(1, MOST_ITEMS + 2), b"hvc1"), {1: SMALL}, [], "items"),
        ({1: b"hvc1"}, dict.fromkeys(range(1, MOST_ITEMS + 2), SMALL), [], "items"),
        ({1: b"hvc1"}, {1: SMALL}, [(b"thmb", 1, [2] * 1000)] * 21, "references"),
    ],
    ids=["overlay", "grid of grids", "grid of none", "tiles", "many tiles", "two grids", "mask of large tiles",
         "large mask", "large mask of a tile", "two masks", "mask of a mask", "masks of many tiles", "no size",
         "no picture", "items", "properties", "references"],
)  # fmt: skip
def test_what_no_camera_writes_is_refused(kinds, sizes, references, says) -> None:
    with pytest.raises(HeaderError, match=says):
        find_item(heic(kinds, sizes, references), "HEIC")


def places(*items: tuple[int, int], version: int = 0, inside: bool = False) -> bytes:
    """Write where items stand: extents that take no byte of the table, and mean the whole file."""
    method = struct.pack(">H", inside) if version else b""
    each = (struct.pack(">H", item) + method + struct.pack(">HH", 0, extents) for item, extents in items)
    return full(b"iloc", bytes(2), struct.pack(">H", len(items)), *each, version=version)


@pytest.mark.parametrize(
    ("table", "size", "says"),
    [
        (places((2, 1000)), 2_000_000, "places or bytes"),
        (places((2, 1000), version=1, inside=True), 2_000_000, "places or bytes"),
        (places(*((item, 1) for item in range(1, 101))), 2_000_000, "places or bytes"),
        (places((2, 30_000)), 0, "places or bytes"),
        (places(*((item, 0) for item in range(1, 1002))), 2_000_000, "items"),
        (places() + places(), 2_000_000, "two tables"),
        (full(b"pitm", bytes(2)), 2_000_000, "two tables"),
    ],
    ids=["one item", "inside", "many items", "places", "items", "two of them", "two pictures"],
)
def test_a_small_table_cannot_ask_for_more_bytes_than_the_file_has(table, size, says) -> None:
    data = heic({1: b"hvc1", 2: b"Exif"}, {1: SMALL}, tables=(table,), extra=(box(b"free", bytes(size)),))

    tracemalloc.start()
    with pytest.raises(HeaderError, match=says):
        find_item(data, "HEIC")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000


def test_equal_tiles_may_share_their_bytes() -> None:
    table = places(*((item, 1) for item in range(1, 101)))

    assert find_item(heic({1: b"hvc1"}, {1: SMALL}, tables=(table,)), "HEIC").size == SMALL


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ((box(b"ipco"), box(b"ipco")), "two tables"),
        ((full(b"ipma", struct.pack(">IHBHB", 2, 1, 0, 1, 0)),), "described twice"),
    ],
)
def test_properties_are_given_once_so_that_every_reader_takes_the_same(tables, says) -> None:
    meta = full(b"meta", box(b"iprp", *tables))

    with pytest.raises(HeaderError, match=says):
        find_item(box(b"ftyp", b"heic", bytes(4)) + meta, "HEIC")


def test_an_item_is_listed_once() -> None:
    meta = full(b"meta", full(b"iinf", struct.pack(">H", 2), entry(1, b"hvc1"), entry(1, b"iovl")))

    with pytest.raises(HeaderError, match="listed twice"):
        find_item(box(b"ftyp", b"heic", bytes(4)) + meta, "HEIC")


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_a_depth_or_gain_map_leaves_a_photograph_lean_and_a_mask_does_not(kind) -> None:
    masked = encoded(Image.new("RGBA", (64, 64), "#12345678"), kind)
    urn = ALPHA if ALPHA in masked else CICP
    mapped = masked.replace(urn, urn[:-1] + b"2")

    assert not find_item(masked, kind).lean
    assert find_item(mapped, kind).lean
    # The decoder agrees: it takes memory for what is transparent in the first only.
    modes = [open_still(first_still(data, kind, most_frames=1)).mode for data in (masked, mapped)]
    assert modes == ["RGBA", "RGB"]


@pytest.mark.parametrize("urn", [ALPHA, CICP, b"urn:mpeg:avc:2015:auxid:1"])
def test_what_is_transparent_in_one_tile_counts(urn) -> None:
    kinds = {1: b"grid", 2: b"hvc1", 3: b"hvc1"}
    references = [(b"dimg", 1, [2]), (b"auxl", 3, [2])]

    with pytest.raises(HeaderError, match="more pixels"):
        find_item(heic(kinds, {1: SMALL, 2: SMALL, 3: (9000, 9000)}, references, urn=urn), "HEIC")


def test_boxes_without_end_are_refused() -> None:
    with pytest.raises(HeaderError, match="more than 20,000 boxes"):
        find_item(heic({1: b"hvc1"}, {1: (64, 64)}, extra=(box(b"free"),) * 20_001), "HEIC")


def test_notes_are_not_handed_on_and_a_film_becomes_its_first_picture() -> None:
    plain = encoded(Image.new("RGB", (64, 64), "teal"), "HEIC", exif=Image.Exif().tobytes(), xmp=b"<x/>")
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "lime")]
    film = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])

    assert b"mime" in plain
    handed_on, moving = find_item(plain, "HEIC"), find_item(film, "AVIF")

    assert b"mime" not in handed_on.data
    assert not handed_on.moving
    assert moving.moving
    assert b"avis" not in moving.data
    assert b"moov" not in moving.data


def test_a_second_table_is_not_handed_on() -> None:
    data = encoded(Image.new("RGB", (64, 64)), "HEIC")

    assert find_item(data + full(b"meta"), "HEIC").data == data + full(b"free")


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
