"""Each line of a text is a row, a part of one, or told to be none, in time that grows with the text."""

import csv
import io
from dataclasses import dataclass

import pytest

from portfolio_shared.data.lines import LEAST_LINES, LINE, MOST_LINES, Lines, Unreadable
from portfolio_shared.data.tables import MAX_CELL


@pytest.fixture(autouse=True)
def _large_cells():
    before = csv.field_size_limit(MAX_CELL)
    yield
    csv.field_size_limit(before)


def read(text, n_lines):
    source, rows = Lines(io.StringIO(text, newline="")), []
    while lines := source.take(n_lines):
        source.unread(lines)
        rows += source.rows(",", n_lines)
    return rows


@pytest.mark.parametrize("n_lines", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("text", "whole", "broken"),
    [
        ('"oops,1\n2,2\n3,3\n', [2, 3], [1]),
        ('1,1\n"oops,2\n3,3\n"4",4\n5,5', [1, 3, 4, 5], [2]),
        ('1,1\n"oops,2\n3,"two\nlines"\n5,5\n', [1, 3, 5], [2]),
        ('1,1\r2,2\r3,"oops', [1, 2], [3]),
        ('"oops,1\n"oops,2\n"oops,3\n4,4\n', [4], [1, 2, 3]),
        ('1,"two\nlines"\n\n"4"x,4\n5,a"b\n', [1, 5], [4]),
        ('1,"two\nlines" and more"\n3,3\n', [3], [1]),  # the rest of the second line is a row of its own
    ],
)
def test_only_a_line_whose_quotation_is_wrong_is_none(text, whole, broken, n_lines):
    rows = read(text, n_lines)
    assert [line for line, cells in rows if isinstance(cells, Unreadable)] == broken
    assert [line for line, cells in rows if len(cells) == 2 and not isinstance(cells, Unreadable)] == whole
    assert all(cells == [text.splitlines()[line - 1]] for line, cells in rows if isinstance(cells, Unreadable))


@pytest.mark.parametrize(
    ("more", "length", "whole"),
    [
        (MOST_LINES, 1, True),
        (MOST_LINES + 1, 1, False),
        (10, MOST_LINES * LINE // 20, True),
        (10, MOST_LINES * LINE // 5, False),
    ],
)
def test_a_row_of_too_many_lines_or_characters_is_taken_for_one_that_is_never_closed(more, length, whole):
    text = 'a,"b' + ("\n" + "x" * length) * more + '"\n1,2\n'
    rows = read(text, 1000)
    assert (len(rows) == 2) == whole
    assert isinstance(rows[0][1], Unreadable) != whole
    assert rows[-1] == (more + 2, ["1", "2"])


@dataclass
class Counted(Lines):
    taken: int = 0

    def take(self, n_lines):
        lines = super().take(n_lines)
        self.taken += len(lines)
        return lines


@pytest.mark.parametrize("line", ['a","c\n', '"oops,2\n', '"oops\n', 'a","c\n1,2\n1,2\n1,2\n'])
def test_quotation_marks_in_every_line_cost_no_more_than_a_few_readings_of_it(line):
    n_lines = 20_000
    source, n_rows = Counted(io.StringIO(line * (n_lines // line.count("\n")))), 0
    while source.number < n_lines:
        n_rows += len(source.rows(",", MOST_LINES))
    assert n_rows == n_lines
    assert source.taken < 3 * LEAST_LINES * n_lines
