"""What the first bytes of a file tell, before a decoder sees it: its format, its size, its number of frames."""

import struct

JPEG, PNG, WEBP, GIF = FORMATS = ("JPEG", "PNG", "WEBP", "GIF")

# Formats that people try, so that they can be told the name of what they have. Offset, bytes, name.
_OTHERS = (
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    *((4, b"ftyp" + brand, "HEIC") for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
)
_MARKUP = 1024  # bytes in which the first element of an SVG is looked for


class HeaderError(ValueError):
    """A file that ends or contradicts itself before its size is known."""


def sniff(data: bytes) -> str | None:
    """Name the format of a file by its first bytes; its name and declared type are not asked.

    >>> sniff(b"GIF89a...."), sniff(b"<?xml version='1.0'?><svg>"), sniff(b"hello")
    ('GIF', 'SVG', None)

    Returns
    -------
    One of `FORMATS`, or the name of a format that is known but not read, or None.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    for offset, signature, name in _OTHERS:
        if data.startswith(signature, offset):
            return name
    start = data[:_MARKUP].lstrip(b"\xef\xbb\xbf \t\r\n")
    return "SVG" if start.startswith(b"<") and b"<svg" in start.lower() else None


def png_size(data: bytes) -> tuple[int, int]:
    """Read width and height from the IHDR chunk, which is the first one (PNG specification, 11.2.2)."""
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise HeaderError("no IHDR chunk")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def webp_size(data: bytes) -> tuple[int, int]:
    """Read the canvas size of a WebP: libwebp would allocate it as soon as it is asked (RFC 9649, section 2)."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise HeaderError("truncated")
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise HeaderError("ends within its first chunk")
    if chunk == b"VP8X":  # 24 bits each, minus one
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":  # a signature byte, then 14 bits each, minus one
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":  # a frame tag and a start code of 3 bytes each, then 14 bits each
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise HeaderError("no picture in its first chunk")


def gif_size_and_frames(data: bytes, *, most: int) -> tuple[int, int, int]:
    """Walk the blocks of a GIF without decompressing any (GIF89a specification, appendix B).

    Parameters
    ----------
    most
        Counting stops above so many frames.

    Returns
    -------
    Width and height of the screen, enlarged by the first frame if that is larger as decoders do, and frames found. A
    file that breaks off has the frames that begin before the end.
    """
    if len(data) < 13:
        raise HeaderError("ends within its header")
    width, height, flags = struct.unpack("<HHB", data[6:11])
    at, frames = 13 + _palette(flags), 0
    while at < len(data) and frames <= most:
        kind = data[at]
        if kind == 0x21:  # an extension: its label, then sub-blocks
            at = _after_blocks(data, at + 2)
        elif kind == 0x2C and at + 10 < len(data):  # a frame: its place, its palette, a code size, then sub-blocks
            left, top, frame_width, frame_height, flags = struct.unpack("<HHHHB", data[at + 1 : at + 10])
            if not frames:
                width, height = max(width, left + frame_width), max(height, top + frame_height)
            frames += 1
            at = _after_blocks(data, at + 11 + _palette(flags))
        else:  # the end, or something that no decoder reads further than
            break
    return width, height, frames


def _palette(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return the place after a chain of sub-blocks, each with its length in front; one of length 0 ends it."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
