"""Cells of a text as numbers without a string for each: up to eight letters are one machine word.

Own code, because making and looking up millions of strings takes most of the time of pricing a file.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LONGEST = 8
_MASK = np.array([(1 << 8 * n) - 1 for n in range(LONGEST + 1)], dtype=np.uint64)
_SHIFT = np.array([8 * (LONGEST - n) for n in range(LONGEST + 1)], dtype=np.uint64)
_ZEROS = np.uint64(0x3030303030303030)  # eight digits 0
_PADDING = np.array([0x3030303030303030 & ((1 << 8 * (LONGEST - n)) - 1) for n in range(LONGEST + 1)], dtype=np.uint64)
NO_WORD = np.uint64(0xFFFFFFFFFFFFFFFF)  # no bytes of UTF-8


def cut(text: str, separator: str, width: int, places: Sequence[int]) -> tuple[Words, NDArray[np.intp]]:
    """Return the cells of some places as words, the first letter lowest, and their lengths in bytes: (n_places, n).

    Parameters
    ----------
    text
        Rows of `width` cells, one after the other, with a separator between two cells and no quotation marks.
    """
    stored = f"{text}{separator}{LONGEST * chr(0)}".encode("utf-8", "surrogatepass")
    ends = np.flatnonzero(np.frombuffer(stored, np.uint8) == ord(separator)).reshape(-1, width)
    starts = np.concatenate([[0], ends.ravel()[:-1] + 1]).reshape(-1, width)[:, places].T
    lengths = ends[:, places].T - starts
    at_each_byte: Words = np.ndarray((len(stored) - LONGEST + 1,), "<u8", stored, strides=(1,))
    return at_each_byte[starts] & _MASK[np.minimum(lengths, LONGEST)], lengths


def word(text: str) -> np.uint64:
    """Return the word of a cell of up to eight letters.

    Examples
    --------
    >>> words, _ = cut("1,NA", ",", 2, [1])
    >>> bool(words[0, 0] == word("NA"))
    True
    """
    return np.uint64(int.from_bytes(text.encode(), "little"))


def whole_numbers(words: Words, lengths: NDArray[np.intp]) -> tuple[Floats, Bools]:
    """Return the words as numbers, and which of them are: those of one to eight digits and nothing else.

    Digits are added in pairs, fours and eights (Lemire 2022, "Quickly parsing eight digits").
    """
    fitting = np.minimum(lengths, LONGEST)
    digits = (words << _SHIFT[fitting]) | _PADDING[fitting]
    high = np.uint64(0xF0F0F0F0F0F0F0F0)
    carried = ((digits + np.uint64(0x0606060606060606)) & high) >> np.uint64(4)
    is_number = (((digits & high) | carried) == np.uint64(0x3333333333333333)) & (lengths > 0) & (lengths <= LONGEST)
    pairs = (digits - _ZEROS) * np.uint64(10) + ((digits - _ZEROS) >> np.uint64(8))
    each = np.uint64(0x000000FF000000FF)
    upper, lower = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
    eights = ((pairs & each) * upper + ((pairs >> np.uint64(16)) & each) * lower) >> np.uint64(32)
    return eights.astype(np.float64), is_number


class WordTable:
    """Words that were seen -> numbers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._words, self._numbers = np.array([NO_WORD]), np.array([np.nan])

    def find(self, words: Words) -> tuple[Floats, Bools]:
        """Return the numbers of words, and which of them were seen."""
        places = np.searchsorted(self._words, words)
        return self._numbers[places], self._words[places] == words

    def learn(self, words: Words, numbers: Floats) -> None:
        """Remember words and their numbers; forget all when there are too many."""
        if len(self._words) + len(words) > self._most:
            self._words, self._numbers = np.array([NO_WORD]), np.array([np.nan])
        new, first = np.unique(words[: self._most], return_index=True)
        place = np.searchsorted(self._words, new)
        self._words = np.insert(self._words, place, new)
        self._numbers = np.insert(self._numbers, place, numbers[first])
