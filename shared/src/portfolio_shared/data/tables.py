"""Text tables from anywhere: what a file is by its first bytes, how it is written, and which line is wrong.

Own code, because pandas and the csv module take a wrong separator, a second heading of one name, and a row of another
width as they come, and a stream of rows must end neither at a broken one nor in silence.
"""

import codecs
import csv
import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TextIO, cast

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.lines import Lines, Unreadable

SEPARATORS = (",", ";", "\t", "|")
MAX_CELL = 16_000_000  # characters
BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
AS_CSV = "save the sheet as CSV UTF-8"
NO_TABLES = (
    ((b"PK\x03\x04", b"PK\x05\x06"), f"a zip archive or a workbook of Excel: unpack it, or {AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", f"an old workbook of Excel: {AS_CSV}"),
    (b"PAR1\x15", "Parquet: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"ARROW1\0", "Arrow: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"\x89HDF", "HDF5: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"SQLite format 3", "a database of SQLite: export the table as CSV"),
    (b"\x80\x04", "a pickle, which is never loaded because it can run code: write a CSV file instead"),
    (b"\x80\x05", "a pickle, which is never loaded because it can run code: write a CSV file instead"),
    (tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)), "packed by bzip2: unpack it"),
    (b"\xfd7zXZ", "packed by xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it"),
    (b"7z\xbc\xaf", "packed by 7-Zip: unpack it"),
    (b"Rar!\x1a", "packed by RAR: unpack it"),
    (b"%PDF", "a PDF: a table of text is needed"),
    (b"\x89PNG", "a picture: a table of text is needed"),
    (b"\xff\xd8\xff", "a picture: a table of text is needed"),
    (b"\xff\xfe\x00\x00", "text in UTF-32: save it as UTF-8"),
    (b"<", "HTML or XML, often the page of a login or an error: download the table itself"),
    (b"{", "JSON: write a table with a heading"),
    (b"[", "JSON: write a table with a heading"),
)
"""First bytes, and what a file is that begins with them."""


class FileError(DataError):
    """A file that cannot be read as a whole: the message names it, the line where there is one, and what to do."""


@dataclass(frozen=True)
class Table:
    """A text table that is open: its headings without space around them, its separator, and its rows."""

    path: Path
    headings: list[str]
    separator: str
    _lines: Lines
    _first: int  # lines before the first row

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row from the first on: the line it begins on and its cells, of any number, but for blank lines.

        A line that is no row comes as `Unreadable`, and what follows it is read as if it were not there.
        """
        for block in self.blocks(1000):
            yield from block.rows

    def blocks(self, n_lines: int) -> Iterator["Block"]:
        """Yield the rows of so many lines at a time, from the first on; a cell of several lines may make it more."""
        source, width = self._lines, len(self.headings)
        source.rewind(self._first)
        while lines := source.take(n_lines):
            line = source.number - len(lines) + 1
            plain = [each.rstrip("\r\n") for each in lines]
            # The csv module takes twice the time, and cuts a line without quotation marks at each separator as well.
            text = self.separator.join(plain)
            if width > 1 and '"' not in text and all(each.count(self.separator) == width - 1 for each in plain):
                yield Block(line, plain, Columns(width, text, self.separator))
            else:
                source.unread(lines)
                yield Block(line, None, Columns(width), source.rows(self.separator, len(lines)))


@dataclass(frozen=True)
class Columns(Sequence[Sequence[str]]):
    """The cells of some rows by column: cut out of `text`, where that is given, when they are asked for."""

    width: int
    text: str = ""  # cell after cell and row after row between separators, nothing quoted
    separator: str = ","
    cells: Sequence[Sequence[str]] = ()

    def __len__(self) -> int:
        return self.width

    def __getitem__(self, place: Any) -> Any:
        return (self._cut if self.text else self.cells)[place]

    @cached_property
    def _cut(self) -> list[list[str]]:
        cells = self.text.split(self.separator)
        return [cells[place :: self.width] for place in range(self.width)]


@dataclass(frozen=True)
class Block:
    """Rows that follow each other: plain ones, which is most, by column and as they stand, or one by one."""

    line: int  # of the first row
    lines: list[str] | None  # the text of each row without its end, if all are plain
    columns: Columns
    _rows: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def rows(self) -> list[tuple[int, list[str]]]:
        """The line that each row begins on, and its cells."""
        if self.lines is None:
            return self._rows
        return list(enumerate(map(list, zip(*self.columns, strict=True)), start=self.line))


@contextmanager
def open_table(path: Path, *, known: Callable[[str], bool] = lambda _: False) -> Iterator[Table]:
    """Open a text table, packed by gzip or not, in UTF-8 or UTF-16, between commas, semicolons, tabs or bars.

    Parameters
    ----------
    known
        Whether a heading is one of those that are looked for. The separator is the one that gives the most of them;
        among equals the one that gives the most columns, then the comma. A first line such as ``sep=;`` decides.

    Raises
    ------
    FileError
        If there is no such file, or it is none of these by its first bytes or anywhere in its text, or has no heading,
        or two headings of one name.
    """
    csv.field_size_limit(MAX_CELL)
    with open_text(path) as text:
        lines = Lines(text)
        separators: tuple[str, ...] = SEPARATORS
        while (first := "".join(lines.take(1))) and not first.strip():
            pass
        if first[:5].lstrip('"').casefold().startswith("sep="):
            separators = (_given(path, lines.number, first),)
        elif first:
            lines.unread([first])
        line = lines.number + 1
        cells, chosen = _heading(lines, separators, known)
        if isinstance(cells, Unreadable):
            raise FileError(f"{path}: {misshapen(line, cells, 0)}; correct the heading")
        headings = [cell.strip() for cell in cells]
        if not any(headings):
            raise FileError(f"{path}: the file is empty; expected a heading and rows below it")
        if twice := sorted({heading for heading in headings if headings.count(heading) > 1}):
            names = ", ".join(heading or "(empty)" for heading in twice)
            raise FileError(f"{path}, line {line}: headings that occur more than once: {names}; rename or drop them")
        yield Table(path, headings, chosen, lines, lines.number)


def _given(path: Path, line: int, text: str) -> str:
    """Return the separator that a line such as ``sep=;`` names."""
    given = text.strip('"\r\n')[len("sep=") :]
    given = given.strip() or given[:1]
    if len(given) != 1 or given.isalnum() or given in "\"'" or not (given.isprintable() or given == "\t"):
        raise FileError(f"{path}, line {line}: {text[:80].strip()!r} names no separator; write sep=; or drop the line")
    return given


def _heading(lines: Lines, separators: Sequence[str], known: Callable[[str], bool]) -> tuple[list[str], str]:
    """Read the heading between the separator that gives most of the headings."""
    readings = []
    for separator in separators:
        cells, taken = lines.row(separator)
        lines.unread(taken)
        names = next(csv.reader(cells, delimiter=separator), []) if isinstance(cells, Unreadable) else cells
        readings.append((sum(known(name.strip()) for name in names), len(names), cells, taken, separator))
    _, _, cells, taken, chosen = max(readings, key=lambda it: it[:2])
    lines.take(len(taken))
    return cells, chosen


def misshapen(line: int, cells: Sequence[str], width: int) -> str | None:
    """Return why a row of `Table.rows` does not fit `width` headings, or None if it does.

    Examples
    --------
    >>> misshapen(2, ["1", "2", "x"], 2)
    "line 2 has 3 cells, expected 2; left over: 'x'"
    """
    if isinstance(cells, Unreadable):
        return f"line {line} cannot be read: a quotation mark is never closed, or text follows a closing one"
    if len(cells) == width:
        return None
    surplus = [cell[:80] for cell in cells[width:] if cell]
    left_over = f"; left over: {', '.join(map(repr, surplus))}" if surplus else ""
    return f"line {line} has {len(cells)} cells, expected {width}{left_over}"


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, packed by gzip or not, in UTF-8 (with a byte order mark or not) or UTF-16.

    All of it is checked before it is yielded, so that a bad byte in the last line stops nothing half way.

    Raises
    ------
    FileError
        If there is no such file, or its bytes are no such text.
    """
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
            if not path.is_file():  # a pipe can be read once
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(stream, copy)
                copy.seek(0)
                stream = cast(io.BufferedReader, copy)
            packed = stream.read(2) == GZIP
            stream.seek(0)
            content = cast(IO[bytes], stack.enter_context(gzip.open(stream)) if packed else stream)
            encoding = _encoding(path, content.read(64))
            content.seek(0)
            _check(path, content, encoding)
            content.seek(0)
        except IsADirectoryError:
            raise FileError(f"{path} is a folder; expected a file with a table") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FileError(f"{path} is no whole gzip file ({error}): download or pack it again") from error
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror}") from error
        yield stack.enter_context(io.TextIOWrapper(content, encoding=encoding, newline=""))


def _encoding(path: Path, start: bytes) -> str:
    """Return the encoding that the first bytes tell, or raise FileError with what the file is instead."""
    if not start.startswith(b"\xff\xfe\x00\x00"):
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if len(start) > 3 and start[0] and start[2] and start[1] == start[3] == 0:  # letters of ASCII in two bytes each
            return "utf-16-le"
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, what in NO_TABLES:
        if start.startswith(magic) or text.startswith(magic):
            raise FileError(f"{path} is no text table but {what}")
    return "utf-8-sig"


def _check(path: Path, content: IO[bytes], encoding: str) -> None:
    """Raise FileError with its line if a byte is not of the encoding."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    while True:
        block = content.read(BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            if not encoding.startswith("utf-8"):
                raise FileError(f"{path} is no whole text in {encoding.upper()}: save it as UTF-8") from error
            byte, line = error.object[error.start], line + error.object[: error.start].count(b"\n")
            raise FileError(
                f"{path}, line {line}: byte 0x{byte:02x} is no UTF-8; save the file as UTF-8, or convert it: "
                "iconv -f CP1252 -t UTF-8 FILE (CP1252 is what Windows writes in Western Europe and America)"
            ) from error
        line += text.count("\n")
        if not block:
            return
