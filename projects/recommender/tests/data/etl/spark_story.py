"""What the tests of Spark ask of it, in one session, because that takes half a minute to start.

It runs in Spark's environment, where there is no pytest: ``python spark_story.py FOLDER``, with the data sets
``FOLDER/sample`` and ``FOLDER/dirty`` of test_spark_engine.py, and ``FOLDER/latest`` if it is there. Tables and sums
stay in FOLDER; the rest is printed as JSON.
"""

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from recommender.config import EaseSettings
from recommender.data.etl.engine import EngineError, RawText
from recommender.data.etl.run import run_etl
from recommender.data.etl.spark_engine import SparkEngine
from recommender.data.gram_job import sum_with
from recommender.data.source import resolve_dataset

ORDERED = "SELECT user_id, film_id, stars, at, part FROM stored ORDER BY at DESC, user_id, film_id"


def main(folder: Path) -> None:
    engine = SparkEngine(memory_limit="1GB", temp=folder / "scratch")
    told: dict[str, Any] = {"pandas": find_spec("pandas") is not None, "engine": [engine.name, engine.version]}
    for name in ("sample", "dirty", "latest"):
        if not (folder / name).is_dir():
            continue
        lines: list[str] = []
        source = resolve_dataset(str(folder / name), dataset="latest-small")
        run_etl(source, folder / f"{name}.spark", engine, most_unreadable=0.5, say=lines.append)
        told[name] = lines
    again: list[str] = []
    source = resolve_dataset(str(folder / "sample"), dataset="latest-small")
    run_etl(source, folder / "sample.spark", engine, most_unreadable=0.5, say=again.append)
    told["again"] = again
    if "latest" in told:
        sum_with(engine, folder / "latest.spark", EaseSettings())
    told["sums"] = [path.name for path in sum_with(engine, folder / "sample.spark", EaseSettings())]
    told["sums again"] = len(sum_with(engine, folder / "sample.spark", EaseSettings()))
    told |= parts(engine, folder) | looks_like_a_pattern(engine, folder) | refusals(engine, folder)
    engine.close()
    print(json.dumps(told))  # noqa: T201 - what the tests read


def parts(engine: SparkEngine, folder: Path) -> dict[str, Any]:
    """Look at single methods, where rows are spread over several partitions."""
    engine.view("stored", folder / "sample.spark" / "ratings")
    engine._session.conf.set("spark.sql.adaptive.enabled", "false")  # which joins small partitions
    engine._session.conf.set("spark.sql.shuffle.partitions", "3")
    text = folder / "lines.txt"
    text.write_text("a\n\nb,\u00e9\r\nc", encoding="utf-8")
    engine.view("lines", RawText(text, "", ",", {"user": 1, "film": 2, "value": 3, "time": 4}, 4))
    engine._session.conf.set("spark.sql.files.maxPartitionBytes", "1000")
    (folder / "many.txt").write_text("".join(f"{number}\n" for number in range(1_000)), encoding="utf-8")
    engine.view("many", RawText(folder / "many.txt", "", ",", {}, 1))
    engine.write("many", folder / "many")
    engine.run(
        "CREATE OR REPLACE TEMPORARY VIEW sorted AS SELECT CAST(line AS INT) AS line FROM many ORDER BY line DESC"
    )
    engine.write("sorted", folder / "sorted")
    batches = list(engine.batches(ORDERED))
    with pa.OSFile(str(folder / "ordered.arrow"), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    sums = engine.summed("SELECT user_id, stars FROM stored", column_sums)
    return {
        "written": engine.write("stored", folder / "cut", by_user="stored"),
        "lines": [row for batch in engine.batches("SELECT * FROM lines ORDER BY place") for row in batch.to_pylist()],
        "n_batches": len(batches),
        "column sums": sums.tolist(),
        "nothing": engine.summed("SELECT user_id, stars FROM stored WHERE user_id < 0", column_sums).tolist(),
    }


def column_sums(batches: Any) -> Any:
    """Sum stars and count people whose rows stand together, in 600 rows: more than one stripe."""
    total, people = np.zeros((600, 2)), 0
    last = None
    for batch in batches:
        users, stars = (column.to_numpy() for column in batch.columns)
        people += int((users[1:] != users[:-1]).sum()) + int(users[0] != last)
        last = users[-1]
        total[:, 0] += stars.astype(np.float64).sum()
    total[:, 1] = people
    return total * np.arange(600)[:, None]


def looks_like_a_pattern(engine: SparkEngine, folder: Path) -> dict[str, Any]:
    """Read a text and a table below a folder whose name is also a pattern, which means the other one."""
    for name in ("l1", "l[1]"):
        (folder / name / "table").mkdir(parents=True)
        (folder / name / "text").write_text(name, encoding="utf-8")
        parquet.write_table(pa.table({"stored": [name]}), folder / name / "table" / "0000.parquet")
    engine.view("text", RawText(folder / "l[1]" / "text", "", ",", {}, 1))
    engine.view("stored_name", folder / "l[1]" / "table")
    (batch,) = engine.batches("SELECT line, stored FROM text CROSS JOIN stored_name")
    return {"pattern": batch.to_pylist()}


def refusals(engine: SparkEngine, folder: Path) -> dict[str, str]:
    """Return the errors of statements that are none, of a file that is none, and of one that goes in between."""
    for name in ("damaged", "gone"):
        (folder / name).mkdir()
    (folder / "damaged" / "0000.parquet").write_text("no Parquet", encoding="utf-8")
    parquet.write_table(pa.table({"user_id": [1], "stars": [2.0]}), folder / "gone" / "0000.parquet")
    engine.view("gone", folder / "gone")
    (folder / "gone" / "0000.parquet").unlink()
    fine, query = "CREATE OR REPLACE TEMPORARY VIEW one AS SELECT 1 AS a", "SELECT user_id, stars FROM gone"
    calls: dict[str, Callable[[], object]] = {
        "syntax": lambda: engine.run(f"{fine};\nSELEC 1"),
        "table": lambda: engine.run(f"{fine};\nSELECT * FROM not_there"),
        "no view": lambda: engine.write("not_there", folder / "never"),
        "damaged": lambda: engine.view("one", folder / "damaged"),
        "not written": lambda: engine.write("gone", folder / "never"),
        "not read": lambda: list(engine.batches(query)),
        "not summed": lambda: engine.summed(query, column_sums),
    }
    told = {}
    for name, call in calls.items():
        try:
            call()
        except EngineError as error:
            told[name] = str(error)
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]))
