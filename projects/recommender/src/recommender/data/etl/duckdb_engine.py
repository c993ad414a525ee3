"""DuckDB in this process: what does not fit into its memory goes to files of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.etl.engine import FILE_ROWS, EngineError, RawText

BATCH_ROWS = 100_000
NO_SEPARATOR = "\x01\x02\x03"
"""Of the cells of a line that is not to be cut; no text has it."""


class DuckDBEngine:
    """An engine on this machine; for the methods see `recommender.data.etl.engine.Engine`.

    Parameters
    ----------
    memory_limit
        How much memory DuckDB may take, such as ``1GB``.
    temp
        Folder for what does not fit; it is made if need be.
    """

    name = "duckdb"
    version = duckdb.__version__

    def __init__(self, *, memory_limit: str, temp: Path) -> None:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": str(temp),
            "autoinstall_known_extensions": False,  # nothing is fetched
            "python_enable_replacements": False,  # a name is that of a view, never that of a variable
        }
        try:
            self._connection = duckdb.connect(config=settings)
        except duckdb.Error as error:
            raise EngineError(f"DuckDB does not start: {error}") from error
        self._connection.execute("SET enable_progress_bar = false")

    def view(self, name: str, source: RawText | Path) -> None:
        with _named_errors():
            self._connection.execute(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {_select(source)}")

    def run(self, sql: str) -> None:
        with _named_errors():
            self._connection.execute(sql)

    def write(self, view: str, folder: Path, *, by_user: str | None = None) -> int:
        folder.mkdir(parents=True)
        with _named_errors():
            if by_user is None:
                return self._copy(f"SELECT * FROM {view}", folder / "0000.parquet")  # noqa: S608 - names of ours
            rows = 0
            for number, (first, last) in enumerate(self._cuts(by_user)):
                where = f'user_id BETWEEN {first} AND {last} ORDER BY user_id, "at", film_id'
                rows += self._copy(f"SELECT * FROM {view} WHERE {where}", folder / f"{number:04}.parquet")  # noqa: S608
        return rows

    def _copy(self, query: str, path: Path) -> int:
        options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
        found = self._connection.execute(f"COPY ({query}) TO {_text(path)} ({options})").fetchone()
        return int(found[0]) if found else 0

    def _cuts(self, view: str) -> list[tuple[int, int]]:
        """Return the first and last user of each file, so that files have about `FILE_ROWS` rows of the view."""
        query = f"SELECT user_id, count(*) AS n FROM {view} WHERE user_id IS NOT NULL GROUP BY 1 ORDER BY 1"  # noqa: S608
        counts = self._connection.sql(query).fetchnumpy()
        users, total = counts["user_id"], np.cumsum(counts["n"])
        if not len(users):
            return []
        ends = np.unique(np.searchsorted(total, np.arange(FILE_ROWS, total[-1], FILE_ROWS)))
        ends = np.unique(np.append(ends, len(users) - 1))
        starts = np.append(0, ends[:-1] + 1)
        return list(zip(users[starts].tolist(), users[ends].tolist(), strict=True))

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        with _named_errors(), self._connection.sql(query).to_arrow_reader(BATCH_ROWS) as reader:
            yield from reader

    def summed(
        self, query: str, part: Callable[[Iterator[pa.RecordBatch]], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        return part(self.batches(query))

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise EngineError(f"DuckDB: {error}") from error


def _select(source: RawText | Path) -> str:
    if isinstance(source, Path):
        return f"SELECT * FROM read_parquet({_text(escape(str(source)) + '/*.parquet')})"  # noqa: S608 - a name in quotation marks
    options = (
        f"columns = {{'line': 'VARCHAR'}}, delim = '{NO_SEPARATOR}', quote = '', escape = '', header = false, "
        "auto_detect = false, strict_mode = false, max_line_size = 1000000"
    )
    return f"SELECT row_number() OVER () AS place, line FROM read_csv({_text(escape(str(source.path)))}, {options})"  # noqa: S608


def _text(value: object) -> str:
    """Return a text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"
