"""Format and size from the first bytes of a file; own code, for they are read before a decoder sees it (`stills`)."""

import struct

JPEG, PNG, WEBP, GIF, HEIC, AVIF = FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIC", "AVIF")

# Offset, bytes, name: what is read, and formats that people try, so that a refusal can name what they have.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (4, b"ftypqt  ", "MOV"),
    (4, b"ftypcrx ", "CR3"),
    (4, b"ftyp", "MP4"),
)
_BRANDS = {  # of the first box of a file; those of no codec are asked for the next one
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
}
_MARKUP = 1024  # bytes in which the first element of an SVG is looked for


class HeaderError(ValueError):
    """A file that ends or contradicts itself before its size is known."""


def sniff(data: bytes) -> str | None:
    """Name the format of a file by its first bytes; its name and declared type do not count.

    >>> sniff(b"GIF89a...."), sniff(b"<?xml version='1.0'?><svg>"), sniff(b"hello")
    ('GIF', 'SVG', None)

    Returns
    -------
    One of `FORMATS`, or the name of a format that is known but not read, or None.
    """
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), _MARKUP), 4))]
        if known := [_BRANDS[brand] for brand in brands if brand in _BRANDS]:
            return known[0]
    for offset, signature, name in _SIGNATURES:
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
