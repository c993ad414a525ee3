"""The lines of a text, which the csv module reads row by row; own code, because it cannot go back behind a row."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

MOST_LINES, LEAST_LINES, LINE = 1000, 10, 1000  # how many lines, of so many characters, may follow in one row


class Unreadable(list[str]):
    """A line that is no row, because a quotation mark is never closed or text follows a closing one: its one cell."""


@dataclass
class Lines:
    """The lines of a text, of which some are read again."""

    text: IO[str]
    number: int = 0  # of the line that was read last
    again: deque[str] = field(default_factory=deque)
    reach: int = MOST_LINES  # how many may follow in one row: fewer after some were read again, more with each new one

    def take(self, n_lines: int) -> list[str]:
        """Return the next so many lines, fewer at the end."""
        if n_lines == 1 and self.again:
            self.number += 1
            return [self.again.popleft()]
        lines = [self.again.popleft() for _ in range(min(n_lines, len(self.again)))]
        new = list(islice(self.text, n_lines - len(lines)))
        self.reach = min(MOST_LINES, self.reach + len(new))
        self.number += len(lines) + len(new)
        return lines + new

    def rewind(self, number: int) -> None:
        """Begin again after so many lines."""
        self.text.seek(0)
        self.again.clear()
        self.number, self.reach = 0, MOST_LINES
        self.take(number)

    def unread(self, lines: Sequence[str]) -> None:
        """Give lines back, which are the next ones again."""
        self.again.extendleft(reversed(lines))
        self.number -= len(lines)

    def row(self, separator: str) -> tuple[list[str], list[str]]:
        """Return the cells of the next row, `Unreadable` the next line if it is none, and the lines that it takes."""
        taken: list[str] = []

        def more() -> Iterator[str]:
            left = self.reach * LINE
            while left >= 0 and len(taken) <= self.reach and (lines := self.take(1)):
                left -= len(lines[0]) if taken else 0
                taken.extend(lines)
                yield lines[0]

        try:
            return next(csv.reader(more(), delimiter=separator, strict=True), []), taken
        except csv.Error:
            self.unread(taken[1:])
            self.reach = max(LEAST_LINES, self.reach - len(taken) // 2)
            return Unreadable([taken[0].rstrip("\r\n")]), taken[:1]

    def rows(self, separator: str, n_lines: int) -> list[tuple[int, list[str]]]:
        """Return the rows that begin on the next so many lines, each with its line; blank lines are left out."""
        first, lines = self.number + 1, self.take(n_lines)
        try:
            rows = list(csv.reader(lines, delimiter=separator, strict=True))
        except csv.Error:
            rows = []
        if len(rows) == len(lines):  # each on a line of its own
            return [(line, cells) for line, cells in enumerate(rows, start=first) if cells]
        self.unread(lines)
        found = []
        while self.number < first - 1 + len(lines):
            line, (cells, _) = self.number + 1, self.row(separator)
            if cells:
                found.append((line, cells))
        return found
