"""Questions in SQL to an ETL folder or a prediction log: ``python -m recommender.data.etl.query NAME DIR``.

DuckDB's own reader of SQLite is an extension that it downloads, for one version each; so Python hands the log over.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from portfolio_shared.data.checks import DataError
from recommender.data.etl.engine import Engine
from recommender.data.etl.manifest import checked, read_manifest

QUERIES = resources.files("recommender.data.etl").joinpath("queries")
LOG = {
    "predictions": {
        "id": pa.string(), "at": pa.float64(), "model": pa.string(), "version": pa.string(), "items": pa.int64(),
        "milliseconds": pa.float64(), "response": pa.string(),
    },
    "feedback": {"prediction": pa.string(), "item": pa.int64(), "at": pa.float64(), "truth": pa.string()},
}  # fmt: skip
"""What is read of each table of the log; who was asked about stays where it is."""
ROWS_AT_ONCE = 1000  # a row may hold a thousand lists


def names() -> list[str]:
    """Return the names of the queries."""
    return sorted(path.name.removesuffix(".sql") for path in QUERIES.iterdir())


def answer(engine: Engine, name: str) -> pa.Table:
    """Return the rows that a query gives with the views of an engine; no rows have no columns."""
    sql = QUERIES.joinpath(f"{name}.sql").read_text(encoding="utf-8").rstrip().rstrip(";")
    batches = list(engine.batches(sql))
    return pa.Table.from_batches(batches) if batches else pa.table({})


@contextmanager
def viewed(engine: Engine, folder: Path) -> Iterator[None]:
    """Give the tables of an ETL folder their names, while they are read; raises as `checked` does."""
    names = [stage.name for stage in read_manifest(folder).stages]
    with checked(folder, names):
        for name in names:
            engine.view(name, folder / name)
        yield


def view_log(engine: Engine, log: Path, scratch: Path) -> None:
    """Give the tables of a prediction log in SQLite their names, as of now; the service may write on.

    Parameters
    ----------
    scratch
        Folder for a copy of the columns in `LOG`, as Parquet; it is the caller's to delete.

    Raises
    ------
    DataError
        If it is no such log.
    """
    try:
        with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")  # both tables as they are at one moment
            for table, columns in LOG.items():
                (scratch / table).mkdir(parents=True)
                rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names of ours
                schema = pa.schema(list(columns.items()))
                with pq.ParquetWriter(scratch / table / "0000.parquet", schema) as writer:
                    while block := rows.fetchmany(ROWS_AT_ONCE):
                        cells = dict(zip(columns, map(list, zip(*block, strict=True)), strict=True))
                        writer.write_table(pa.table(cells, schema=schema))
                engine.view(table, scratch / table)
    except sqlite3.Error as error:
        raise DataError(f"{log} is no prediction log in SQLite: {error}") from error


@contextmanager
def opened(source: Path) -> Iterator[Engine]:
    """Yield DuckDB with the tables of an ETL folder or of a prediction log."""
    from recommender.data.etl.duckdb_engine import DuckDBEngine

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="query-")))
        engine = stack.enter_context(closing(DuckDBEngine(memory_limit="1GB", temp=scratch / "spilled")))
        if source.is_dir():
            stack.enter_context(viewed(engine, source))
        else:
            view_log(engine, source, scratch / "log")
        yield engine


def main() -> None:
    """Print the answer to a query, which is named first, then the folder or the file of the log."""
    if len(sys.argv) != 3 or sys.argv[1] not in names():
        sys.exit(f"usage: python -m recommender.data.etl.query {{{','.join(names())}}} FOLDER_OR_LOG")
    try:
        with opened(Path(sys.argv[2])) as engine:
            rows = answer(engine, sys.argv[1])
    except DataError as error:
        sys.exit(str(error))
    if not rows.num_rows:
        sys.stdout.write("no rows\n")
        return
    table = Table(*rows.column_names)
    for row in rows.to_pylist():
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row.values()))
    Console(markup=False).print(table)


if __name__ == "__main__":
    main()
