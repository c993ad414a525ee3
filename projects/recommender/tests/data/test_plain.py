"""Plain numbers are read piece by piece; from the first other sign on, the rest is left alone."""

import io
from collections.abc import Sequence

import pytest

from recommender.data import plain
from recommender.data.plain import read_plain

NAMES = ("user", "film", "value", "time")
TABLE = "userId,movieId,rating,timestamp\n5,7,4.5,100\n5,1,,90\n\n9,0001,5,80"


def read(
    text: str, separator: str = ",", names: Sequence[str] = NAMES, blank: Sequence[str] = (), skip: int = 1
) -> tuple[list[list[float]], int | None]:
    pieces, reading = [], read_plain(io.BytesIO(text.encode()), separator, names, blank=blank, skip=skip)
    while True:
        try:
            pieces += next(reading).fillna(-1).to_numpy().tolist()
        except StopIteration as end:
            return pieces, end.value


@pytest.mark.parametrize("block", [1, 20, 1_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_pieces_make_the_same_whole(monkeypatch: pytest.MonkeyPatch, block: int, end: str) -> None:
    monkeypatch.setattr(plain, "BYTES_AT_ONCE", block)
    assert read(TABLE.replace("\n", end)) == ([[5, 7, 4.5, 100], [5, 1, -1, 90], [9, 1, 5, 80]], None)


def test_columns_that_are_not_read_and_columns_that_are_blank() -> None:
    assert read("4.5,3,5,100,7\n", names=("value", "x", "user", "time", "film"), skip=0) == ([[5, 7, 4.5, 100]], None)
    seven = {"separator": ":", "names": ("user", "a", "film", "b", "value", "c", "time"), "blank": "abc", "skip": 0}
    assert read("5::7::4.5::100\n", **seven) == ([[5, 7, 4.5, 100]], None)
    assert read("5:1:7::4.5::100\n", **seven) == ([], 0)


@pytest.mark.parametrize(
    "row",
    [
        '"5",7,4.5,100',
        "-5,7,4.5,100",
        "0x5,7,4.5,100",
        "5, 7,4.5,100",
        "5,7,nan,100",
        "5,7,4.5,1e2",
        "5,7,4.5",
        "5,7,4.5,100,1",
        ",7,4.5,100",
        "5,7,4.5,100\r5,1,3.5,90",
        "3000000000,7,4.5,100",
        "5,7.0,4.5,100",
        "5,7,4.5.,100",
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_what_is_not_plain_is_left_with_all_after_it(monkeypatch: pytest.MonkeyPatch, row: str, before: int) -> None:
    monkeypatch.setattr(plain, "BYTES_AT_ONCE", 1)
    rows, left = read("heading\n" + "5,7,4.5,100\n" * before + row + "\n9,1,5,80\n")
    assert (rows, left) == ([[5, 7, 4.5, 100]] * before, 1 + before)


def test_what_has_no_row_and_what_ends_in_old_ways_is_left() -> None:
    assert read("heading\n") == ([], 1)
    assert read("head\ring\n5,7,4.5,100\n") == ([], 1)
