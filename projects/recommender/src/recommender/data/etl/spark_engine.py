"""Spark: the same SQL on one machine or many. It needs Java 17 or newer, and an environment without pandas is enough.

Which machines is for Spark to say: those of the master that `spark-submit` or the variable MASTER names, or else the
cores of this one. Workers read and write the same folders as the driver, and can import this package.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyspark
from numpy.typing import NDArray
from py4j.protocol import Py4JError
from pyarrow import parquet
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from recommender.data.etl.engine import EngineError, RawText

COMMENT = re.compile(r"--.*")  # no text of ours has two hyphens
STATEMENT = re.compile(r"(?:'[^']*'|[^';])*\w(?:'[^']*'|[^';])*")
STACK = re.compile(r"^[ \t]+(at |\.\.\. ).*\n?", re.MULTILINE)
GLOB = re.compile(r"[][{}*?\\]")
STRIPE_ROWS = 256
"""Of a sum that travels from machine to machine at once: 10 MB of the Gram matrix of 5,000 films."""
STRIPE = "start INT, part INT, sums BINARY"
Part = Callable[[Iterator[pa.RecordBatch]], NDArray[np.float64]]


class SparkEngine:
    """An engine on one machine or many; for the methods see `recommender.data.etl.engine.Engine`.

    Parameters
    ----------
    memory_limit
        The heap of the driver, which is all of Spark where it runs on this machine alone, such as ``2g``. Each core's
        Python comes on top. Under `spark-submit` its ``--driver-memory`` counts, and executors have their own.
    temp
        Folder of this machine for what does not fit; it is made if need be.
    """

    name = "spark"
    version = pyspark.__version__

    def __init__(self, *, memory_limit: str, temp: Path) -> None:
        if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
            raise EngineError("Spark needs Java 17 or newer, and there is no `java` (Debian: default-jre-headless)")
        temp.mkdir(parents=True, exist_ok=True)
        submitted = "PYSPARK_GATEWAY_PORT" in os.environ
        if not submitted and "MASTER" not in os.environ:
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # Else it is the first `python3` on the path, which knows none of this.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings = {
            "spark.app.name": "recommender",
            "spark.driver.memory": memory_limit.lower().removesuffix("b"),  # DuckDB's 2GB is Spark's 2g
            "spark.local.dir": str(temp.resolve()),
            "spark.sql.warehouse.dir": str(temp.resolve()),
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
            "spark.sql.parquet.compression.codec": "zstd",
            "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",  # else many tasks of a few rows each
            "spark.ui.enabled": "false",  # a port that nobody asked for
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
        }
        with _named_errors():
            self._session = SparkSession.builder.config(map=settings).getOrCreate()

    def view(self, name: str, source: RawText | Path) -> None:
        with _named_errors():
            if isinstance(source, Path):
                table = self._session.read.parquet(_literal(source))
            else:
                lines = self._session.read.text(_literal(source.path))
                # The pieces of one file are numbered in its order, so these grow with the position.
                table = lines.selectExpr("monotonically_increasing_id() AS place", "value AS line")
            table.createOrReplaceTempView(name)

    def run(self, sql: str) -> None:
        with _named_errors():
            for statement in STATEMENT.findall(COMMENT.sub("", sql)):
                self._session.sql(statement)

    def write(self, view: str, folder: Path, *, by_user: str | None = None) -> int:
        with _named_errors():
            table = self._session.table(view)
            if by_user is not None:
                table = table.repartitionByRange("user_id").sortWithinPartitions("user_id", "at", "film_id")
            table.write.parquet(str(folder.resolve()))
        return _tidy(folder)

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        # As messages of Arrow in rows of Spark: rows themselves would come as Python's objects, cell by cell.
        with _named_errors():
            messages = _map_in_arrow(self._session.sql(query), _messages, "message BINARY")
            for (message,) in messages.toLocalIterator():
                yield from pa.ipc.open_stream(message)

    def summed(self, query: str, part: Part) -> NDArray[np.float64]:
        """Return the sum: each core sums its people, and then stripes of these sums are added up, each somewhere.

        No machine holds more than one sum for each of its cores, what `part` needs beside it, and stripes; the driver
        holds one sum.
        """
        cores = self._session.sparkContext.defaultParallelism
        total = part(iter(()))  # zeros of the shape that it has
        rows = total.reshape(len(total), -1)
        with _named_errors():
            people = self._session.sql(query).repartition(cores, "user_id").sortWithinPartitions("user_id")
            stripes = _map_in_arrow(people, partial(_stripes, part=part), STRIPE)
            with _without_pandas():
                added = stripes.groupBy("start").applyInArrow(_added, STRIPE)
            for start, _, sums in added.toLocalIterator():
                stripe = np.frombuffer(sums).reshape(-1, rows.shape[1])
                rows[start : start + len(stripe)] = stripe
        return total

    def close(self) -> None:
        with _named_errors():
            self._session.stop()


def _stripes(batches: Iterator[pa.RecordBatch], part: Part) -> Iterator[pa.RecordBatch]:
    """Yield what a machine has summed, cut into pieces that can be sent and added."""
    sums = part(batches)
    number = TaskContext.get().partitionId()
    for start in range(0, len(sums), STRIPE_ROWS):
        stripe = np.ascontiguousarray(sums[start : start + STRIPE_ROWS])
        yield _stripe(start, number, stripe)


def _added(stripes: pa.Table) -> pa.Table:
    """Add up the stripes of one place, in the order of the parts: the last digits of a sum depend on it."""
    ordered = stripes.sort_by("part")
    total = sum(np.frombuffer(stripe.as_buffer()) for stripe in ordered["sums"])
    return pa.Table.from_batches([_stripe(ordered["start"][0].as_py(), 0, np.asarray(total))])


def _stripe(start: int, part: int, sums: NDArray[np.float64]) -> pa.RecordBatch:
    columns = [pa.array([start], pa.int32()), pa.array([part], pa.int32()), pa.array([sums.tobytes()])]
    return pa.record_batch(columns, names=["start", "part", "sums"])


def _messages(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()])], names=["message"])


def _map_in_arrow(
    table: DataFrame, function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: str
) -> DataFrame:
    with _without_pandas():
        return table.mapInArrow(function, schema)


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Let functions of Arrow be made where there is no pandas: PySpark 4.3 asks for it, and then does not use it.

    They share a constructor with the functions of pandas, whose first line this is.
    """
    with patch("pyspark.sql.pandas.functions.require_minimum_pandas_version"):
        yield


def _literal(path: Path) -> str:
    """Return an address that Spark takes for this path alone, and not for a pattern of names."""
    return GLOB.sub(r"\\\g<0>", str(path.resolve()))


def _tidy(folder: Path) -> int:
    """Leave nothing but Parquet files that are named as every engine does, in their order; return how many rows."""
    rows = 0
    parts = sorted(folder.glob("part-*.parquet"))  # whose names begin with the number of the partition
    for number, path in enumerate(parts):
        rows += parquet.read_metadata(path).num_rows
        path.rename(folder / f"{number:04}.parquet")
    for other in [path for path in folder.iterdir() if path.suffix != ".parquet"]:  # check sums, and that it succeeded
        other.unlink()
    return rows


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except (PySparkException, Py4JError) as error:  # what PySpark does not know by name stays an error of Py4J
        raise EngineError(f"Spark: {STACK.sub('', str(error)).rstrip()}") from error
