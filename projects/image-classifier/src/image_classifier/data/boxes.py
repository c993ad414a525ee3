"""The walk through a HEIC or AVIF: boxes in boxes (ISO/IEC 14496-12), which describe items (ISO/IEC 23008-12).

libheif decodes no item larger than its box says. libavif does, so the head of the AV1 stream is read as well.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_classifier.data.av1 import check_stream
from image_classifier.data.headers import AVIF, HEIC, HeaderError

MOST_BOXES = 20_000
MOST_ITEMS = 1000
"""Tiles, thumbnails and notes; a phone's photograph has 50, and libheif takes no more than these."""

_CODED = {HEIC: (b"hvc1", b"hev1"), AVIF: (b"av01",)}
_NOTES = (b"Exif", b"mime", b"uri ")
_STILL_BRANDS = {HEIC: ((b"hevc", b"heic"), (b"msf1", b"mif1")), AVIF: ((b"avis", b"avif"), (b"msf1", b"mif1"))}
_TURNS = {  # quarter turns anticlockwise, then the axis of a mirror or none: EXIF orientation
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (1, 0): 5,
    (2, 0): 2,
    (3, 0): 7,
    (0, 1): 2,
    (1, 1): 7,
    (2, 1): 4,
    (3, 1): 5,
}


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
        8 bits, half the colours and nothing transparent, as phones write it: less memory a pixel.
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
    masks: dict[int, int] = field(default_factory=dict)  # the picture that an item is for: the item
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
    used = _used(meta, kind)
    if kind == AVIF:
        for item in used:
            check_stream(_bytes_of(data, meta, item))
    config = meta.of(used[0], b"hvcC" if kind == HEIC else b"av1C") or b""
    lean = meta.primary not in meta.masks and _is_plain(config, kind)
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
        elif name == b"moov":
            moving, kept[at + 4 : at + 8] = True, b"free"
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
    try:
        for name, _, body, stop in _boxes(data, at, end):
            if name == b"pitm":
                (meta.primary,) = struct.unpack_from(">I" if data[body] else ">H", data, body + 4)
            elif name == b"iinf":
                _read_kinds(data, body + (8 if data[body] else 6), stop, meta)
            elif name == b"iref":
                _read_references(data, body, stop, meta)
            elif name == b"iprp":
                _read_properties(data, body, stop, meta)
            elif name == b"iloc":
                _read_places(data, body, meta)
    except (struct.error, IndexError) as error:
        raise HeaderError("ends within its table of items") from error
    return meta


def _read_kinds(data: bytes, at: int, end: int, meta: _Meta) -> None:
    for name, _, body, _ in _boxes(data, at, end):
        if name == b"infe" and data[body] in (2, 3):
            width = 2 if data[body] == 2 else 4
            item, place = int.from_bytes(data[body + 4 : body + 4 + width]), body + 6 + width
            meta.kinds[item] = data[place : place + 4]
            if meta.kinds[item] in _NOTES:
                meta.notes.append(place)
            if meta.kinds[item] == b"Exif":
                meta.exif = item
    if len(meta.kinds) > MOST_ITEMS:
        raise HeaderError(f"more than {MOST_ITEMS:,} items")


def _read_references(data: bytes, body: int, end: int, meta: _Meta) -> None:
    letter, width = (">I", 4) if data[body] else (">H", 2)
    for name, _, at, _ in _boxes(data, body + 4, end):
        (source,), (count,) = struct.unpack_from(letter, data, at), struct.unpack_from(">H", data, at + width)
        if count > MOST_ITEMS:
            raise HeaderError(f"more than {MOST_ITEMS:,} tiles")
        targets = struct.unpack_from(f">{count}{letter[1]}", data, at + width + 2)
        if name == b"dimg":
            meta.parts[source] = list(targets)
        elif name == b"auxl":
            meta.masks |= dict.fromkeys(targets, source)


def _read_properties(data: bytes, body: int, end: int, meta: _Meta) -> None:
    for name, _, at, stop in _boxes(data, body, end):
        if name == b"ipco":
            meta.properties = [(kind, data[start:last]) for kind, _, start, last in _boxes(data, at, stop)]
        elif name == b"ipma":
            letter, wide = (">I" if data[at] else ">H"), data[at + 3] & 1
            (count,) = struct.unpack_from(">I", data, at + 4)
            place = at + 8
            for _ in range(min(count, MOST_ITEMS)):
                (item,) = struct.unpack_from(letter, data, place)
                place += struct.calcsize(letter)
                number = data[place]
                values = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, place + 1)
                meta.owned[item] = [value & (0x7FFF if wide else 0x7F) for value in values]
                place += 1 + number * (1 + wide)


def _read_places(data: bytes, body: int, meta: _Meta) -> None:
    version, sizes = data[body], data[body + 4 : body + 6]
    offset, length, base, index = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, (sizes[1] & 15 if version else 0)
    wide, at = (4 if version == 2 else 2), body + 6

    def number(width: int) -> int:
        nonlocal at
        at += width
        if at > len(data):
            raise HeaderError("truncated")
        return int.from_bytes(data[at - width : at])

    for _ in range(min(number(wide), MOST_ITEMS)):
        item, inside = number(wide), (number(2) & 15) == 1 if version else False
        number(2)  # the file itself
        start = number(base)
        for _ in range(min(number(2), MOST_ITEMS)):
            number(index)
            place = start + number(offset)
            span = slice(place, place + size if (size := number(length)) else None)
            if not inside:  # its bytes stand in the file, not in the table
                meta.places.setdefault(item, []).append(span)


def _used(meta: _Meta, kind: str) -> list[int]:
    """Return the coded items that are decoded: the picture or its tiles, and what is transparent in it."""
    used: list[int] = []
    for item in [meta.primary, *([meta.masks[meta.primary]] if meta.primary in meta.masks else [])]:
        tiles = meta.parts.get(item, []) if meta.kinds.get(item) == b"grid" else [item]
        if not tiles or any(meta.kinds.get(tile) not in _CODED[kind] for tile in tiles):
            raise HeaderError("a picture that is put together in another way than of tiles")
        (width, height), areas = meta.size(item), [meta.size(tile) for tile in tiles]
        # Tiles overhang to the right and below; many large ones for a small picture would take hours.
        if sum(w * h for w, h in areas) > 2 * width * height + 2**21:
            raise HeaderError("tiles of more pixels than their picture")
        used += tiles
    return used


def _bytes_of(data: bytes, meta: _Meta, item: int | None) -> bytes:
    return b"".join(data[span] for span in (meta.places.get(item, []) if item is not None else []))


def _is_plain(config: bytes, kind: str) -> bool:
    """Return whether a stream has 8 bits and its colours at half the width and height (hvcC: ISO/IEC 14496-15)."""
    if kind == HEIC:
        return len(config) > 18 and config[16] & 3 == 1 and not config[17] & 7
    return len(config) > 2 and config[2] & 0b0100_1100 == 0b0000_1100  # av1C: high_bitdepth, subsampling_x and _y


def _turn(meta: _Meta) -> int | None:
    quarter, axis = meta.of(meta.primary, b"irot"), meta.of(meta.primary, b"imir")
    if not quarter and not axis:
        return None
    return _TURNS[quarter[0] & 3 if quarter else 0, axis[0] & 1 if axis else None]
