"""How the text of ratings is cut, for engines that cut it line by line; what cannot be is written anew as such a text.

Here is no pandas: this runs where Spark does.
"""

import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from portfolio_shared.data.tables import GZIP, FileError, Table, misshapen, open_table, open_text
from recommender.data.etl.engine import RawText
from recommender.data.files import WHOLE, Files
from recommender.data.headings import RATING_COLUMNS, columns_of, meaning

BYTES_AT_ONCE = 1 << 24
IN_ORDER = {"user": 1, "film": 2, "value": 3, "time": 4}
SEPARATORS = {"dat": "::", "100k": "\t"}  # of the formats without a heading


def raw_text(files: Files, scratch: Path) -> RawText:
    """Return how the ratings are cut.

    Parameters
    ----------
    scratch
        Where a text is written to that cannot be cut as it is: with quotation marks or dates, in UTF-16, with a byte
        order mark, lines that end otherwise than in a line feed, or packed under a name that does not say so.

    Raises
    ------
    FileError
        If the file is no text table, or columns are missing.
    """
    path = files.ratings
    if files.format != "csv":
        separator = SEPARATORS[files.format]
        if not _is_plain(path, quotes=True):
            path = _rewritten(scratch, _lines_of(path))
        return RawText(path, "", separator, IN_ORDER, len(IN_ORDER))
    with open_table(path, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
        columns = columns_of(table, RATING_COLUMNS)
        _, first = next(table.rows(), (0, []))
        if not first:
            raise FileError(f"{path}: no ratings below the heading")
        time = columns["time"]
        dates = time < len(first) and not WHOLE.fullmatch(first[time])
        heading = "" if dates or not _is_plain(path) else _first_line(path)
        if heading.count(table.separator) != len(table.headings) - 1:
            return _numbers_alone(table, columns, scratch, dates=dates)
        places = {name: place + 1 for name, place in columns.items()}
        return RawText(path, heading, table.separator, places, len(table.headings))


def note_columns(files: Files) -> None:
    """Note which columns of the ratings are not read, as the reading of all ratings does."""
    if files.format == "csv":
        with open_table(files.ratings, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
            files.note_others(table, columns_of(table, RATING_COLUMNS))


def _is_plain(path: Path, *, quotes: bool = False) -> bool:
    """Return whether every line can be cut as it stands; a quotation mark may be allowed, as it means nothing."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if packed != (path.suffix == ".gz"):
        return False
    with _bytes_of(path) as stream:
        if stream.read(3) == b"\xef\xbb\xbf":
            return False
        stream.seek(0)
        while block := stream.read(BYTES_AT_ONCE) + stream.readline():
            if b"\0" in block or (b'"' in block and not quotes) or block.count(b"\r") != block.count(b"\r\n"):
                return False
    return True


def _first_line(path: Path) -> str:
    """Return the heading of a text that is plain; `open_text` would decode all of it for that."""
    with _bytes_of(path) as stream:
        return next((line.rstrip("\r\n") for line in map(bytes.decode, stream) if line.strip()), "")


def _bytes_of(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _lines_of(path: Path) -> Iterator[str]:
    with open_text(path) as text:
        yield from (line.rstrip("\r\n") for line in io.TextIOWrapper(text.buffer, text.encoding, newline=None))


def _numbers_alone(table: Table, columns: dict[str, int], scratch: Path, *, dates: bool) -> RawText:
    """Write the four columns of a table between tabs; of a row of another width all cells as one."""

    def lines() -> Iterator[str]:
        for line, cells in table.rows():
            if misshapen(line, cells, len(table.headings)):
                yield _plain(" ".join(cells)) or "(empty cells)"
                continue
            user, film, value, time = (_plain(cells[columns[name]]) for name in IN_ORDER)
            yield "\t".join([user, film, value, _seconds(time) if dates else time])

    return RawText(_rewritten(scratch, lines()), "", "\t", IN_ORDER, len(IN_ORDER))


def _rewritten(scratch: Path, lines: Iterator[str]) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "ratings.txt"
    with path.open("w", encoding="utf-8", newline="\n") as new:
        new.writelines(f"{line}\n" for line in lines)
    return path


def _plain(cell: str) -> str:
    return " ".join(cell.split())


def _seconds(date: str) -> str:
    """Return the seconds since 1970 of a date, in UTC unless it says otherwise; what is no date stays as it is."""
    try:
        at = datetime.fromisoformat(date)
    except ValueError:
        return date
    return str(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() // 1))
