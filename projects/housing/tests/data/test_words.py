import random

import numpy as np
import pytest

from housing.data.words import LONGEST, WordTable, cut, whole_numbers

CELLS = [
    "0",
    "7",
    "42",
    "00042",
    "12345678",
    "99999999",
    "123456789",
    "",
    "-1",
    "1.5",
    "1e3",
    " 1",
    "1 ",
    "/",
    ":",
    "a1",
]


def cut_rows(rows, separator=","):
    width = len(rows[0])
    return cut(separator.join(cell for row in rows for cell in row), separator, width, range(width))


def test_numbers_of_up_to_eight_digits_are_read_and_nothing_else_is_taken_for_one():
    words, lengths = cut_rows([[cell] for cell in CELLS])
    numbers, is_number = whole_numbers(words, lengths)
    expected = [cell.isdecimal() and len(cell) <= LONGEST for cell in CELLS]
    assert is_number[0].tolist() == expected
    assert [number for number, yes in zip(numbers[0], expected, strict=True) if yes] == [
        0,
        7,
        42,
        42,
        12345678,
        99999999,
    ]


def test_many_numbers_are_those_of_python():
    drawn = random.Random(0).choices(range(10**8), k=100_000)  # noqa: S311 - no secret
    numbers, is_number = whole_numbers(*cut_rows([[str(number)] for number in drawn]))
    assert is_number.all()
    assert numbers[0].tolist() == drawn


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_found_by_their_place_and_measured_in_bytes(separator):
    rows = [["é", "NAmes", "x"], ["", "Zoë", "12"], ["long enough", "", "3"]]
    words, lengths = cut_rows(rows, separator)
    assert lengths.T.tolist() == [[len(cell.encode()) for cell in row] for row in rows]
    stored = [[int.from_bytes(cell.encode()[:LONGEST], "little") for cell in row] for row in rows]
    assert words.T.tolist() == stored
    some = cut(separator.join(cell for row in rows for cell in row), separator, 3, [2, 0])
    np.testing.assert_array_equal(some[0], words[[2, 0]])


def test_words_that_were_learned_are_found_and_too_many_are_forgotten():
    table = WordTable(most=4)
    words = np.array([5, 3, 5, 9], dtype=np.uint64)
    table.learn(words, words * 2.0)
    numbers, seen = table.find(np.array([3, 4, 5, 9, 10], dtype=np.uint64))
    assert seen.tolist() == [True, False, True, True, False]
    assert numbers[seen].tolist() == [6, 10, 18]
    table.learn(np.array([1, 2], dtype=np.uint64), np.array([1.0, 2.0]))
    assert table.find(np.array([1, 3], dtype=np.uint64))[1].tolist() == [True, False]
