"""The largest frame that an AV1 stream announces, by hand-written bits and by the encoder's."""

import pytest

from image_classifier.data.av1 import MOST_UNITS, check_stream, largest_frame
from image_classifier.data.headers import HeaderError


def packed(bits: str) -> bytes:
    bits = bits.replace(" ", "")
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))


REDUCED = "000 1 1 00000"  # profile, still picture, reduced header, level
PLAIN = "000 0 0 0 0 00000 000000000000 00000"  # no timing, no delay, one operating point of level 0
TIMED = (
    "000 0 0 1" + "0" * 64 + "1 001 00 1 00111" + "0" * 42 + "1 00000" + "0" * 12 + "01000 0 1" + "0" * 17 + "1 0000"
)
SIDES = "1011 1001"  # 12 and 10 bits


@pytest.mark.parametrize("head", [REDUCED, PLAIN, TIMED], ids=["reduced", "plain", "timed"])
def test_the_fields_of_a_sequence_header_are_found(head) -> None:
    assert largest_frame(packed(head + SIDES)) == 2**22


def unit(kind: int, body: bytes) -> bytes:
    return bytes([kind << 3 | 2, len(body)]) + body


def test_every_sequence_header_counts() -> None:
    small, large = (unit(1, packed(REDUCED + sides)) for sides in (SIDES, "1111 1111"))
    assert check_stream(unit(2, b"") + small) == MOST_UNITS - 2
    for stream in (large, unit(2, b"") + small + unit(6, bytes(50)) + large, b"\x08" + packed(REDUCED + "1111 1111")):
        with pytest.raises(HeaderError, match="larger frames"):
            check_stream(stream)


@pytest.mark.parametrize("stream", [b"", unit(2, b""), b"\x12\x00" * 20_001, unit(1, packed("000 1 1"))])
def test_a_stream_of_nothing_or_of_units_without_end_is_refused(stream) -> None:
    with pytest.raises(HeaderError):
        check_stream(stream)


def test_the_units_of_all_streams_together_are_bounded() -> None:
    stream = unit(1, packed(REDUCED + SIDES)) * 2

    assert check_stream(stream, 2) == 0
    with pytest.raises(HeaderError, match="units"):
        check_stream(stream, 1)
