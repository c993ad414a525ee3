"""Cut a sample out of larger data: `python -m new_project.data.cut_sample FILE` writes it where it ships.

Kept are the most chosen items, and of the people with most of those as many as make the sample full. The same file
gives the same bytes.
"""

import csv
import gzip
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from new_project.data.load import COLUMNS, SAMPLE, columns_of, is_known
from portfolio_shared.data.download import file_sha256
from portfolio_shared.data.tables import misshapen, open_table

MOST_ITEMS, MOST_EVENTS = 300, 20_000


def read_columns(source: Path) -> list[list[str]]:
    """Return the headings and all rows of a table of users and items, of the columns that a model reads alone."""
    with open_table(source, known=is_known) as table:
        place = columns_of(table)
        columns = [column for column in COLUMNS if column in place]
        whole = [cells for line, cells in table.rows() if misshapen(line, cells, len(table.headings)) is None]
    return [columns, *([cells[place[column]] for column in columns] for cells in whole)]


def write(lines: Iterable[Sequence[str]], target: Path) -> Path:
    """Write headings and rows as CSV, packed by gzip."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    target.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return target


def cut_sample(source: Path, target: Path) -> Path:
    """Write the densest part of a table of users and items, with the columns that are read."""
    headings, *rows = read_columns(source)
    of_item = Counter(row[1] for row in rows)
    kept = {item for item, _ in sorted(of_item.items(), key=lambda each: (-each[1], each[0]))[:MOST_ITEMS]}
    of_user = Counter(row[0] for row in rows if row[1] in kept)
    users, left = set(), MOST_EVENTS
    for user, events in sorted(of_user.items(), key=lambda each: (-each[1], each[0])):
        if (left := left - events) < 0:
            break
        users.add(user)
    return write([headings, *(row for row in rows if row[1] in kept and row[0] in users)], target)


def main() -> None:
    """Cut the sample in place, and print what `data/load.py` must say of it."""
    path = cut_sample(Path(sys.argv[1]), SAMPLE.path)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes, sha256 {file_sha256(path)}\n")


if __name__ == "__main__":
    main()
