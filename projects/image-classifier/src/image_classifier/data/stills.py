"""One still picture out of a file, by a walk of our own: no library does this before a decoder sees the file.

The threat: a service decodes what anybody sends. Pillow bounds the pixels of a picture (`MAX_IMAGE_PIXELS`), but
on opening a file it also reads notes, texts, color profiles, tables and later frames, and a file of some kilobytes can
keep it busy for hours or fill the memory, below every limit on bytes and pixels. So a file is walked from part to part
without decompressing any: how large it is, how turned, and which parts hold its pixels; the others are left out. A walk
is bounded by the bytes that a regular expression looks through, and by the number of parts.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from image_classifier.data.boxes import find_item
from image_classifier.data.headers import AVIF, GIF, HEIC, JPEG, PNG, WEBP, HeaderError, png_size, webp_size

MOST_PARTS = 20_000
"""Chunks of a PNG or WebP, segments of a JPEG: a file of 200 MB has them if its writer flushes every 10 kB."""
MOST_SCANS = 100
"""Passes over a JPEG: a progressive one has about 10. Each costs time for every pixel, however few bytes it has."""
MOST_TABLES = 200_000
"""Bytes of a JPEG's tables; they have hundreds, or 64 kB if a small picture is with them."""
MOST_BLOCKS = 1_000_000
"""Sub-blocks of a GIF, of at most 255 bytes."""

_ORIENTATION = 0x0112  # TIFF tag
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # TIFF types
_EXIF = b"Exif\0\0"

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # not: a stuffed byte, TEM, restarts, fill
_SOI, _EOI, _SOS, _APP1 = b"\xff\xd8", 0xD9, 0xDA, 0xE1
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)  # Huffman codes, one pass: the others are kept whole, or cannot be scaled
_LOSSY = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # what libjpeg decodes of them
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}  # DHT, DAC, DQT, DRI, and JFIF and Adobe, which name the color space

_HEADS = (b"IHDR", b"PLTE", b"tRNS")


class CrowdedError(HeaderError):
    """A file of more parts than any program writes; the text is their number and name."""


class VariantError(HeaderError):
    """A variant of a format that no decoder here reads; the text is its name."""


@dataclass(frozen=True)
class Still:
    """What a file says of its first picture.

    Attributes
    ----------
    kind
        The format, one of `headers.FORMATS`.
    data
        A file of this format with this picture and little else.
    size
        Width and height as stored, before it is turned.
    frames
        Of the animation; counting stops above the number that was allowed.
    turn
        EXIF orientation, 1 to 8; 1 is upright.
    scalable
        Whether it can be decoded at a half, a quarter or an eighth without holding all of it.
    lean
        Whether decoding takes at most 10 bytes of memory a pixel, not 16.
    """

    kind: str
    data: bytes
    size: tuple[int, int]
    frames: int = 1
    turn: int = 1
    scalable: bool = False
    lean: bool = False


def first_still(data: bytes, kind: str, *, most_frames: int) -> Still:
    """Walk through a file of one of `headers.FORMATS`.

    Raises
    ------
    CrowdedError
        If it has too many parts.
    VariantError
        If it is of a variant that is not read.
    HeaderError
        If it ends or contradicts itself before its picture.
    """
    return _WALKS[kind](data, most_frames)


def turn_of(notes: bytes) -> int:
    r"""Read the tag Orientation from the first directory of EXIF data (TIFF 6.0, section 2; EXIF 2.3, 4.6.4).

    A library that reads every tag is no choice: 60 kB of notes can ask for 300 MB.

    >>> turn_of(b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0")
    6

    Returns
    -------
    1 to 8; 1 where there is none or the notes are damaged.
    """
    notes = notes.removeprefix(_EXIF)
    order = {b"II": "<", b"MM": ">"}.get(notes[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", notes, 4)
        (count,) = struct.unpack_from(order + "H", notes, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, integer = struct.unpack_from(order + "HH", notes, at)
            if tag == _ORIENTATION and integer in _INTEGERS:
                (turn,) = struct.unpack_from(order + _INTEGERS[integer], notes, at + 8)
                return int(turn) if 1 <= turn <= 8 else 1
    except struct.error:
        pass
    return 1


def _jpeg(data: bytes, _: int) -> Still:
    """Keep of a JPEG what its pixels need: frame header and tables, then everything from the first scan to the end.

    What stands behind the end, such as further pictures or a film, is left out.
    """
    tables, turn, frame, scans = b"", 0, b"", []
    end = 2
    for kind, start, end in _segments(data):  # the last end is used below
        if kind == _SOS:
            scans.append(start)
        elif scans:
            continue
        elif kind in _FRAME_HEADERS:
            frame = data[start:end]
        elif kind in _TABLES:
            tables += data[start:end]
        elif kind == _APP1 and not turn and data.startswith(_EXIF, start + 4):
            turn = turn_of(data[start + 4 : end])
        if len(scans) > MOST_SCANS or len(tables) > MOST_TABLES:
            raise CrowdedError(
                f"more than {MOST_SCANS} scans" if scans else f"more than {MOST_TABLES:,} bytes of tables"
            )
    if not scans and end > len(data) > 4:
        raise HeaderError("truncated")
    if not scans or len(frame) < 10 or len(data) < scans[0] + 5:
        raise HeaderError("no frame or no scan")
    height, width, components = _frame_header(frame)
    scalable = frame[1] in _SEQUENTIAL and components in (1, 3) and data[scans[0] + 4] == components
    return Still(JPEG, _SOI + tables + frame + data[scans[0] : end], (width, height), 1, turn or 1, scalable)


def _frame_header(frame: bytes) -> tuple[int, int, int]:
    """Return height, width and components of a frame that libjpeg decodes."""
    bits, height, width, components = struct.unpack(">BHHB", frame[4:10])
    if bits != 8:
        raise VariantError(f"a JPEG of {bits} bits a channel")
    if frame[1] not in _LOSSY:
        raise VariantError("a lossless or hierarchical JPEG")
    return height, width, components


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment to the end of the picture, the last one beyond that of broken data.

    As ITU-T T.81, annex B, has them, and in step with libjpeg where that is lenient: no scan may hide from this walk.
    """
    at = 2
    for _ in range(MOST_PARTS):
        marker = _MARKER.search(data, at)
        if marker is None:
            yield 0, at, len(data)
            return
        start, at, kind = marker.start(), marker.end(), data[marker.end() - 1]
        if kind != _EOI:
            at += max(2, int.from_bytes(data[at : at + 2]))
        yield kind, start, at
        if kind == _EOI or at > len(data):
            return
    raise CrowdedError(f"more than {MOST_PARTS:,} segments")


def _png(data: bytes, _: int) -> Still:
    """Walk the chunks of a PNG to its end (PNG specification, 5.3), and keep those that its pixels need."""
    size = png_size(data)
    kept, seen, at, frames, turn = [data[:8]], set[bytes](), 8, 1, 1
    for _ in range(MOST_PARTS):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        body, at = at + 8, at + 12 + length
        if kind == b"IDAT" or (kind in _HEADS and kind not in seen):
            kept.append(data[body - 8 : at])
        elif kind == b"acTL" and kind not in seen:
            frames = max(1, int.from_bytes(data[body : body + 4]))
        elif kind == b"eXIf" and kind not in seen:
            turn = turn_of(data[body : at - 4])
        seen.add(kind)
        if kind == b"IEND" or at >= len(data):
            break
    else:
        raise CrowdedError(f"more than {MOST_PARTS:,} chunks")
    if b"IDAT" not in seen:
        raise HeaderError("truncated" if at > len(data) else "no picture")
    if b"IEND" in seen:
        kept.append(b"\0\0\0\0IEND\xaeB`\x82")
    return Still(PNG, b"".join(kept), size, frames, turn)


def _webp(data: bytes, _: int) -> Still:
    """Walk the chunks of a WebP (RFC 9649, section 2); it is handed on as it is, because libwebp skips what it may."""
    size, end = webp_size(data), 8 + int.from_bytes(data[4:8], "little")
    at, frames, turn = 12, 0, 0
    for _ in range(MOST_PARTS):
        if at + 8 > end:
            return Still(WEBP, data, size, max(1, frames), turn or 1)
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        frames += kind == b"ANMF"
        if kind == b"EXIF" and not turn:
            turn = turn_of(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    raise CrowdedError(f"more than {MOST_PARTS:,} chunks")


def _gif(data: bytes, most_frames: int) -> Still:
    """Walk the blocks of a GIF (GIF89a specification, appendix B), and keep the first frame and its transparency.

    The size is that of the screen, enlarged by the first frame if that is larger, as decoders do.
    """
    if len(data) < 13:
        raise HeaderError("ends within its header")
    width, height, flags = struct.unpack("<HHB", data[6:11])
    at, frames, control, picture, budget = 13 + _palette(flags), 0, b"", b"", MOST_BLOCKS
    head = data[:at]
    while at < len(data) and frames <= most_frames and data[at] != 0x3B:
        start, kind = at, data[at]
        if kind == 0x21:  # an extension: its label, then sub-blocks
            at, budget = _after_blocks(data, at + 2, budget)
            if data[start + 1 : start + 2] == b"\xf9" and not frames and len(data) > start + 2:
                control = data[start : start + 3 + data[start + 2]] + b"\0"
        elif kind == 0x2C and at + 10 < len(data):  # a frame: its place, its palette, a code size, then sub-blocks
            left, top, frame_width, frame_height, flags = struct.unpack("<HHHHB", data[at + 1 : at + 10])
            at, budget = _after_blocks(data, at + 11 + _palette(flags), budget)
            if not frames:
                width, height = max(width, left + frame_width), max(height, top + frame_height)
                picture = data[start:at]
            frames += 1
        else:  # padding
            at, budget = at + 1, budget - 1
        if budget <= 0:
            raise CrowdedError(f"more than {MOST_BLOCKS:,} blocks")
    return Still(GIF, head + control + picture + b";", (width, height), frames)


def _palette(flags: int) -> int:
    """Return the bytes of a color table."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int, budget: int) -> tuple[int, int]:
    """Return the place after a chain of sub-blocks, each with its length in front, and the blocks left to spend."""
    while at < len(data) and data[at] and budget > 0:
        at += 1 + data[at]
        budget -= 1
    return at + 1, budget - 1


def _boxed(kind: str) -> Callable[[bytes, int], Still]:
    """Return the walk through a HEIC or AVIF.

    What their boxes say of the turn comes before EXIF data, and libheif does it itself.
    """

    def walk(data: bytes, _: int) -> Still:
        item = find_item(data, kind)
        turn = turn_of(item.exif) if item.turn is None else 1 if kind == HEIC else item.turn
        return Still(kind, item.data, item.size, 2 if item.moving else 1, turn, lean=item.lean)

    return walk


_WALKS: dict[str, Callable[[bytes, int], Still]] = {JPEG: _jpeg, PNG: _png, WEBP: _webp, GIF: _gif}
_WALKS |= {kind: _boxed(kind) for kind in (HEIC, AVIF)}
