"""How large the frames of an AV1 stream may become (AV1 specification, 5.3 to 5.5): libavif decodes any size."""

from image_classifier.data.headers import HeaderError

MOST_UNITS = 20_000
MOST_FRAME = 2**26
"""Pixels of the largest frame that a stream may announce: 100 MB."""

_SEQUENCE_HEADER = 1


def check_stream(stream: bytes, most: int = MOST_UNITS) -> int:
    """Look at every sequence header of a stream, and return how many units the next ones may have.

    Raises
    ------
    HeaderError
        If one announces larger frames than any picture here has, or there is none.
    """
    at, announced = 0, 0
    while at < len(stream):
        most -= 1
        if most < 0:
            raise HeaderError(f"more than {MOST_UNITS:,} units")
        head, at = stream[at], at + (2 if stream[at] & 4 else 1)
        size = len(stream) - at
        if head & 2:
            size, at = _leb128(stream, at)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            announced = max(announced, largest_frame(stream[at : at + min(size, 256)]))
        at += size
    if not 0 < announced <= MOST_FRAME:
        raise HeaderError("an AV1 stream of larger frames than any picture" if announced else "no AV1 stream")
    return most


def largest_frame(header: bytes) -> int:
    """Return the pixels of the largest frame that a sequence header leaves room for."""
    bits = _Bits(header)
    bits.read(4)  # seq_profile, still_picture
    if bits.read(1):  # reduced_still_picture_header
        bits.read(5)
    else:
        _skip_operating_points(bits)
    return 1 << (bits.read(4) + 1 + bits.read(4) + 1)


class _Bits:
    """A row of bits that is read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise HeaderError("ends within its sequence header")
        return self._number >> self._left & ((1 << count) - 1)


def _skip_operating_points(bits: _Bits) -> None:
    model = _skip_timing(bits) if bits.read(1) else 0
    delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if model and bits.read(1):
            bits.read(2 * model + 1)
        if delay and bits.read(1):
            bits.read(4)


def _skip_timing(bits: _Bits) -> int:
    """Return the bits of a buffer's delay, 0 where the decoder's model is not described."""
    bits.read(64)
    if bits.read(1):  # equal_picture_interval: a number of variable length
        zeros = 0
        while not bits.read(1):
            zeros += 1
        bits.read(zeros)
    if not bits.read(1):
        return 0
    model = bits.read(5) + 1
    bits.read(42)
    return model


def _leb128(stream: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place after it."""
    number = 0
    for shift in range(0, 56, 7):
        byte, at = stream[at : at + 1], at + 1
        number |= (byte[0] & 127) << shift if byte else 0
        if not byte or not byte[0] & 128:
            break
    return number, at
