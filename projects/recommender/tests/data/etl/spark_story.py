"""What the tests of Spark ask of it, in one session, because that takes half a minute to start.

It runs in Spark's environment, where there is no pytest: ``python spark_story.py FOLDER``, with the data sets
``FOLDER/sample`` and ``FOLDER/dirty`` of test_spark_engine.py. Tables and sums stay in FOLDER; the rest is printed as
JSON.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

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
    for name in ("sample", "dirty"):
        lines: list[str] = []
        source = resolve_dataset(str(folder / name), dataset="latest-small")
        run_etl(source, folder / f"{name}.spark", engine, most_unreadable=0.5, say=lines.append)
        told[name] = lines
    again: list[str] = []
    source = resolve_dataset(str(folder / "sample"), dataset="latest-small")
    run_etl(source, folder / "sample.spark", engine, most_unreadable=0.5, say=again.append)
    told["again"] = again
    told["sums"] = [path.name for path in sum_with(engine, folder / "sample.spark", EaseSettings())]
    told["sums again"] = len(sum_with(engine, folder / "sample.spark", EaseSettings()))
    told |= parts(engine, folder) | refusals(engine)
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


def refusals(engine: SparkEngine) -> dict[str, str]:
    """Return the errors of statements that are none, by name."""
    told = {}
    for name, sql in {"syntax": "SELEC 1", "table": "SELECT * FROM not_there"}.items():
        try:
            engine.run(f"CREATE OR REPLACE TEMPORARY VIEW one AS SELECT 1 AS a;\n{sql}")
        except EngineError as error:
            told[name] = str(error)
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]))
