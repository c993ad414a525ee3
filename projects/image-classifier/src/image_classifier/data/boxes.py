"""The walk through a HEIC or AVIF: boxes in boxes (ISO/IEC 14496-12), which describe items (ISO/IEC 23008-12).

libheif decodes no item larger than its box says. libavif does, so the head of the AV1 stream is read as well.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_classifier.data.av1 import MOST_UNITS, check_stream
from image_classifier.data.headers import AVIF, HEIC, HeaderError

MOST_BOXES = 20_000
MOST_ITEMS = 1000
"""Tiles, thumbnails and notes; a phone's photograph has 50, and libheif takes no more than these."""
SHARED = 2**24
"""Bytes that items may have beyond those of the file: equal tiles are stored once."""

_CODED = {HEIC: (b"hvc1", b"hev1"), AVIF: (b"av01",)}
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1")
"""What is transparent; of other items that belong to a picture, such as depth and gain maps, decoders make no use."""
_NOTES = (b"Exif", b"mime", b"uri ")
_STILL_BRANDS = {HEIC: ((b"hevc", b"heic"), (b"msf1", b"mif1")), AVIF: ((b"avis", b"avif"), (b"msf1", b"mif1"))}
# EXIF orientation by the axis of a mirror, then the quarter turns anticlockwise.
_TURNS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


@dataclass(frozen=True)
class Item:
    """The picture that a file shows first.

    Attributes
    ----------
    data
        The file without notes, films and what stands behind it; as long as before up to there.
    size
        Width and height as stored.
    turn
        What its boxes say of the way it is turned, as an EXIF orientation, or None; libheif turns it, libavif does not.
    exif
        Its EXIF data, or nothing.
    moving
        Whether the file holds a film as well.
    lean
        8 bits, half the colors and nothing transparent, as phones write it: less memory a pixel.
    """

    data: bytes
    size: tuple[int, int]
    turn: int | None
    exif: bytes
    moving: bool
    lean: bool


@dataclass
class _Meta:
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    notes: list[int] = field(default_factory=list)  # where their kinds stand
    exif: int | None = None
    parts: dict[int, list[int]] = field(default_factory=dict)  # of a grid
    auxiliary: dict[int, list[int]] = field(default_factory=dict)  # an item: the pictures that it is for
    masks: dict[int, int] = field(default_factory=dict)  # a picture: what is transparent in it
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)
    places: dict[int, list[slice]] = field(default_factory=dict)

    def of(self, item: int, kind: bytes) -> bytes | None:
        """Return a property of an item."""
        numbers = (number for number in self.owned.get(item, ()) if 0 < number <= len(self.properties))
        found = (body for name, body in (self.properties[number - 1] for number in numbers) if name == kind)
        return next(found, None)

    def size(self, item: int) -> tuple[int, int]:
        body = self.of(item, b"ispe") or b""
        if len(body) < 12:
            raise HeaderError("an item without a size")
        return struct.unpack(">II", body[4:12])


def find_item(data: bytes, kind: str) -> Item:
    """Find the picture of a HEIC or AVIF that is shown first; nothing is decoded.

    Raises
    ------
    HeaderError
        If the file contradicts itself, or its picture is made of others in a way that no camera uses.
    """
    meta, kept, moving = _open(data, kind)
    for at in meta.notes:
        kept[at : at + 4] = b"free"
    tiles, masks = _used(meta, kind)
    if kind == AVIF:
        units = MOST_UNITS
        for item in dict.fromkeys([*tiles, *masks]):
            units = check_stream(_bytes_of(data, meta, item), units)
    lean = not masks and all(_is_plain(meta, tile, kind) for tile in set(tiles))
    exif = _bytes_of(data, meta, meta.exif)
    exif = exif[4 + int.from_bytes(exif[:4]) :]  # where they begin stands in front of them
    return Item(bytes(kept), meta.size(meta.primary), _turn(meta), exif, moving, lean)


def _open(data: bytes, kind: str) -> tuple[_Meta, bytearray, bool]:
    """Return the table of items, the file up to the end of its last whole box as one without a film, and if it had."""
    kept, end, moving, meta = bytearray(data), 0, False, None
    for name, at, body, stop in _boxes(data, 0, len(data)):
        if stop > len(data):
            if name in (b"ftyp", b"meta", b"mdat"):
                raise HeaderError("truncated")
            break
        if name == b"ftyp":
            for film, still in _STILL_BRANDS[kind]:
                kept[body:stop] = bytes(kept[body:stop]).replace(film, still)
        elif name == b"meta" and meta is None:
            meta = _read_meta(data, body + 4, stop)
        elif name in (b"moov", b"meta"):  # of two tables, decoders differ in which they take
            moving, kept[at + 4 : at + 8] = moving or name == b"moov", b"free"
        end = stop
    if meta is None:
        raise HeaderError("truncated" if end < len(data) else "no picture")
    return meta, kept[:end], moving


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield name, start, start of the body and end of each box; the last one's end may lie beyond broken data."""
    for _ in range(MOST_BOXES):
        if at + 8 > end:
            return
        length, name, body = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, body = int.from_bytes(data[at + 8 : at + 16]), at + 16
        stop = at + length if length else end
        if stop < body:
            raise HeaderError("a box shorter than its head")
        yield name, at, body, stop
        if stop > end:
            return
        at = stop
    raise HeaderError(f"more than {MOST_BOXES:,} boxes")


def _read_meta(data: bytes, at: int, end: int) -> _Meta:
    meta = _Meta()
    tables = {b"iinf": _read_kinds, b"iref": _read_references, b"iprp": _read_properties, b"iloc": _read_places}
    try:
        for name, _, body, stop in _once(_boxes(data, at, end)):
            if name == b"pitm":
                (meta.primary,) = struct.unpack_from(">I" if data[body] else ">H", data, body + 4)
            elif name in tables:
                tables[name](data, body, stop, meta)
    except (struct.error, IndexError) as error:
        raise HeaderError("ends within its table of items") from error
    for item, pictures in meta.auxiliary.items():
        if (meta.of(item, b"auxC") or b"")[4:68].split(b"\0")[0] in _ALPHA:
            for picture in pictures:
                if meta.masks.setdefault(picture, item) != item:
                    raise HeaderError("a picture with two masks")
    return meta


def _once(boxes: Iterator[tuple[bytes, int, int, int]]) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield boxes, of each name one but of empty space and of ipma: decoders differ in which of two they take."""
    seen = set[bytes]()
    for box in boxes:
        if box[0] in seen:
            raise HeaderError("two tables of one kind")
        seen |= {box[0]} - {b"free", b"skip", b"uuid", b"ipma"}
        yield box


def _read_kinds(data: bytes, at: int, end: int, meta: _Meta) -> None:
    for name, _, body, _ in _boxes(data, at + (8 if data[at] else 6), end):
        if name == b"infe" and data[body] in (2, 3):
            width = 2 if data[body] == 2 else 4
            item, place = int.from_bytes(data[body + 4 : body + 4 + width]), body + 6 + width
            if item in meta.kinds:
                raise HeaderError("an item that is listed twice")
            meta.kinds[item] = data[place : place + 4]
            if meta.kinds[item] in _NOTES:
                meta.notes.append(place)
            if meta.kinds[item] == b"Exif":
                meta.exif = item
    if len(meta.kinds) > MOST_ITEMS:
        raise HeaderError(f"more than {MOST_ITEMS:,} items")


def _read_references(data: bytes, body: int, end: int, meta: _Meta) -> None:
    letter, width = (">I", 4) if data[body] else (">H", 2)
    left = MOST_BOXES
    for name, _, at, _ in _boxes(data, body + 4, end):
        (source,), (count,) = struct.unpack_from(letter, data, at), struct.unpack_from(">H", data, at + width)
        if count > MOST_ITEMS:
            raise HeaderError(f"more than {MOST_ITEMS:,} tiles")
        if (left := left - count) < 0:
            raise HeaderError(f"more than {MOST_BOXES:,} references")
        targets = struct.unpack_from(f">{count}{letter[1]}", data, at + width + 2)
        if name == b"dimg":
            if source in meta.parts:
                raise HeaderError("a picture with two lists of tiles")
            meta.parts[source] = list(targets)
        elif name == b"auxl":
            meta.auxiliary.setdefault(source, []).extend(targets)


def _read_properties(data: bytes, body: int, end: int, meta: _Meta) -> None:
    for name, _, at, stop in _once(_boxes(data, body, end)):
        if name == b"ipco":
            meta.properties = [(kind, data[start : min(last, stop)]) for kind, _, start, last in _boxes(data, at, stop)]
        elif name == b"ipma":
            letter, wide = (">I" if data[at] else ">H"), data[at + 3] & 1
            (count,) = struct.unpack_from(">I", data, at + 4)
            place = at + 8
            for _ in range(count):
                (item,) = struct.unpack_from(letter, data, place)
                if item in meta.owned:
                    raise HeaderError("an item that is described twice")
                if len(meta.owned) == MOST_ITEMS:
                    raise HeaderError(f"properties of more than {MOST_ITEMS:,} items")
                place += struct.calcsize(letter)
                number = data[place]
                values = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, place + 1)
                meta.owned[item] = [value & (0x7FFF if wide else 0x7F) for value in values]
                place += 1 + number * (1 + wide)


def _read_places(data: bytes, body: int, _: int, meta: _Meta) -> None:
    version, sizes = data[body], data[body + 4 : body + 6]
    offset, length, base, index = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, (sizes[1] & 15 if version else 0)
    wide, at = (4 if version == 2 else 2), body + 6

    def number(width: int) -> int:
        nonlocal at
        at += width
        if at > len(data):
            raise HeaderError("truncated")
        return int.from_bytes(data[at - width : at])

    if (items := number(wide)) > MOST_ITEMS:
        raise HeaderError(f"places of more than {MOST_ITEMS:,} items")
    left, most = MOST_BOXES, len(data) + SHARED
    for _ in range(items):
        item, inside = number(wide), (number(2) & 15) == 1 if version else False
        number(2)  # the file itself
        start = number(base)
        for _ in range(number(2)):
            number(index)
            place = start + number(offset)
            stop = min(len(data), place + (number(length) or len(data)))
            left, most = left - 1, most - max(0, stop - place)
            if left < 0 or most < 0:
                raise HeaderError("items of more places or bytes than any file")
            if not inside:  # its bytes stand in the file, not in the table
                meta.places.setdefault(item, []).append(slice(place, stop))


def _used(meta: _Meta, kind: str) -> tuple[list[int], list[int]]:
    """Return the coded items that are decoded: the picture or its tiles, and what is transparent in it or in them."""
    tiles = _tiles(meta, [meta.primary], kind)
    pictures = tiles if meta.primary in tiles else [meta.primary, *tiles]
    above = [meta.masks[picture] for picture in pictures if picture in meta.masks]
    masks = _tiles(meta, above, kind)
    if any(mask in meta.masks for mask in (*above, *masks)):
        raise HeaderError("a mask of a mask")
    width, height = meta.size(meta.primary)
    # Tiles overhang to the right and below; many large ones for a small picture would take hours.
    if any(sum(w * h for w, h in map(meta.size, each)) > 2 * width * height + 2**21 for each in (tiles, masks)):
        raise HeaderError("tiles of more pixels than their picture")
    return tiles, masks


def _tiles(meta: _Meta, items: list[int], kind: str) -> list[int]:
    tiles: list[int] = []
    for item in items:
        tiles += (meta.parts.get(item) or [-1]) if meta.kinds.get(item) == b"grid" else [item]
        if len(tiles) > MOST_ITEMS:
            raise HeaderError(f"more than {MOST_ITEMS:,} tiles")
    if any(meta.kinds.get(tile) not in _CODED[kind] for tile in tiles):
        raise HeaderError("a picture that is put together in another way than of tiles")
    return tiles


def _bytes_of(data: bytes, meta: _Meta, item: int | None) -> bytes:
    return b"".join(data[span] for span in (meta.places.get(item, []) if item is not None else []))


def _is_plain(meta: _Meta, item: int, kind: str) -> bool:
    """Return whether a stream has 8 bits and its colors at half the width and height (hvcC: ISO/IEC 14496-15)."""
    config = meta.of(item, b"hvcC" if kind == HEIC else b"av1C") or b""
    if kind == HEIC:
        return len(config) > 18 and config[16] & 3 == 1 and not config[17] & 7
    return len(config) > 2 and config[2] & 0b0100_1100 == 0b0000_1100  # av1C: high_bitdepth, subsampling_x and _y


def _turn(meta: _Meta) -> int | None:
    quarter, axis = meta.of(meta.primary, b"irot"), meta.of(meta.primary, b"imir")
    if not quarter and not axis:
        return None
    return _TURNS[axis[0] & 1 if axis else None][quarter[0] & 3 if quarter else 0]
