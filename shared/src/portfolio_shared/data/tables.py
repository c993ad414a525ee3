"""Text tables from anywhere: what a file is by its first bytes, how it is written, and which line is wrong.

Own code, because pandas and the csv module take a wrong separator, a second heading of one name, and a row of another
width as they come, and a stream of rows must end neither at a broken one nor in silence.
"""

import codecs
import csv
import gzip
import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, cast

from portfolio_shared.data.checks import DataError

SEPARATORS = (",", ";", "\t", "|")
MAX_CELL = 16_000_000  # characters; what a quotation mark that is never closed may swallow
BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
AS_CSV = "save the sheet as CSV UTF-8"
NO_TABLES = (
    (b"PK", f"a zip archive or a workbook of Excel: unpack it, or {AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", f"an old workbook of Excel: {AS_CSV}"),
    (b"PAR1", "Parquet: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"ARROW1", "Arrow: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"\x89HDF", "HDF5: write it as CSV first, as with pandas' to_csv(index=False)"),
    (b"SQLite format 3", "a database of SQLite: export the table as CSV"),
    (b"\x80\x04", "a pickle, which is never loaded because it can run code: write a CSV file instead"),
    (b"\x80\x05", "a pickle, which is never loaded because it can run code: write a CSV file instead"),
    (b"BZh", "packed by bzip2: unpack it"),
    (b"\xfd7zXZ", "packed by xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it"),
    (b"7z\xbc\xaf", "packed by 7-Zip: unpack it"),
    (b"Rar!", "packed by RAR: unpack it"),
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
    _text: IO[str]
    _read: int  # lines before the first row
    _first: int  # where the first row begins in the text

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row from the first on: the line it begins on and its cells, of any number, but for blank lines.

        What is no row, because a quotation mark is never closed or text follows a closing one, comes without cells.
        """
        for block in self.blocks(1000):
            yield from block.rows

    def blocks(self, n_lines: int) -> Iterator["Block"]:
        """Yield the rows of so many lines at a time, from the first on; a cell of several lines may make it more."""
        before, width = self._read, len(self.headings)
        self._text.seek(self._first)
        while lines := list(islice(self._text, n_lines)):
            plain = [line.rstrip("\r\n") for line in lines]
            # The csv module takes twice the time, and cuts a line without quotation marks at each separator as well.
            text = self.separator.join(plain)
            if width > 1 and '"' not in text and all(line.count(self.separator) == width - 1 for line in plain):
                yield Block(before + 1, plain, Columns(width, text, self.separator))
                before += len(lines)
            else:
                reader = csv.reader(chain(lines, self._text), delimiter=self.separator, strict=True)
                yield Block(before + 1, None, Columns(width), list(_read_rows(reader, before, len(lines))))
                before += reader.line_num


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


def _read_rows(reader: Any, before: int, n_lines: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that begin on the next so many lines."""
    while reader.line_num < n_lines:
        line = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, []
        else:
            if cells:
                yield line, cells


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
        lines, separator = 0, None
        while not (first := text.readline()).strip() and first:
            lines += 1
        if given := re.fullmatch(r'"?sep=(.)"?\s*', first, flags=re.DOTALL | re.IGNORECASE):
            lines, separator, first = lines + 1, given[1], text.readline()
        while first.count('"') % 2 and (more := text.readline()):  # a heading of several lines
            first += more
        separators = (separator,) if separator else SEPARATORS
        readings = [(next(csv.reader(io.StringIO(first, newline=""), delimiter=each), []), each) for each in separators]
        cells, chosen = max(readings, key=lambda it: (sum(map(known, map(str.strip, it[0]))), len(it[0])))
        headings = [cell.strip() for cell in cells]
        if not any(headings):
            raise FileError(f"{path}: the file is empty; expected a heading and rows below it")
        if twice := sorted({heading for heading in headings if headings.count(heading) > 1}):
            names = ", ".join(heading or "(empty)" for heading in twice)
            raise FileError(
                f"{path}, line {lines + 1}: headings that occur more than once: {names}; rename or drop them"
            )
        yield Table(path, headings, chosen, text, lines + len(first.splitlines()), text.tell())


def misshapen(line: int, cells: Sequence[str], width: int) -> str | None:
    """Return why a row of `Table.rows` does not fit `width` headings, or None if it does.

    Examples
    --------
    >>> misshapen(2, ["1", "2", "x"], 2)
    "line 2 has 3 cells, expected 2; left over: 'x'"
    """
    if len(cells) == width:
        return None
    if not cells:
        return f"line {line} cannot be read: a quotation mark is never closed, or text follows a closing one"
    surplus = [cell[:80] for cell in cells[width:] if cell]
    left_over = f"; left over: {', '.join(map(repr, surplus))}" if surplus else ""
    return f"line {line} has {len(cells)} cells, expected {width}{left_over}"


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
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
