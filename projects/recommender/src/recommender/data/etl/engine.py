"""What the ETL asks of an engine of SQL: DuckDB in this process, or Spark on many machines.

The SQL stands in files that both understand; here is what each does in its own way: reading text, writing Parquet, and
handing rows to Python.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FILE_ROWS = 4_000_000
"""About so many rows go into one file that is cut by users: what one file holds is sorted in memory."""


class EngineError(RuntimeError):
    """An engine cannot be had, or refuses a statement; the message says which."""


@dataclass(frozen=True)
class RawText:
    """A text file of ratings that can be cut line by line: UTF-8, no quotation marks, one separator.

    Attributes
    ----------
    path
        Of the file, which may be packed by gzip; its name then ends in ``.gz``.
    heading
        The line of headings as it stands, or nothing: the first line that is equal to it is no row.
    separator
        Between the cells, of one or more characters.
    columns
        The place of each of ``user``, ``film``, ``value`` and ``time`` among the cells, from 1.
    width
        How many cells a row has.
    """

    path: Path
    heading: str
    separator: str
    columns: dict[str, int]
    width: int


class Engine(Protocol):
    """Runs SQL over files that need not fit into memory."""

    name: str
    version: str

    def view(self, name: str, source: RawText | Path) -> None:
        """Give a name to a source.

        Of a text the columns are ``place``, a whole number that grows with the position in the file, and ``line``,
        the whole line without its end. Of a folder they are those of its Parquet files.
        """

    def run(self, sql: str) -> None:
        """Run statements that semicolons part; raises EngineError with the first that the engine refuses."""

    def write(self, view: str, folder: Path, *, by_user: str | None = None) -> int:
        """Write a view as Parquet into a folder that is not there yet, and return the number of its rows.

        Parameters
        ----------
        by_user
            A view with the column ``user_id``, by which files are cut, so that no user is in two of them: then rows
            are in order of ``user_id``, ``at`` and ``film_id``, and so are files by name. None: in the order that the
            view has, if it has one, and so are files by name.
        """

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query in its order, in constant memory; nothing else may run until the last is read."""

    def summed(
        self, query: str, part: Callable[[Iterator[pa.RecordBatch]], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the sum of what `part` makes of the parts of a query's rows.

        The query has a column ``user_id``; all rows of a user are in one part and follow each other.
        """

    def close(self) -> None:
        """Give back what the engine holds."""
