"""MLlib's ALS on a stored data set, as a job of Spark: `recommender_spark.py` starts it in Spark's environment.

It fits all ratings before the part that is looked for, writes the factors of the films and those of some people, and
prints what that cost, as one line of JSON.
"""

import argparse
import json
import os
import time
from pathlib import Path

from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def main() -> None:
    """Fit, write OUT/films and OUT/people as Parquet, and print the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that `recommender etl` wrote")
    parser.add_argument("people", type=Path, help="Parquet file with the column user_id")
    parser.add_argument("output", type=Path)
    parser.add_argument("--settings", type=json.loads, required=True, help="of pyspark.ml.recommendation.ALS")
    parser.add_argument("--before", type=int, default=2, help="fit parts below this: 1 validation, 2 test")
    options = parser.parse_args()
    started = time.perf_counter()
    session = (
        SparkSession.builder.appName("ALS")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    seconds = {"start": time.perf_counter() - started}
    ratings = session.read.parquet(str(options.data.resolve() / "ratings")).where(f"part < {options.before}")
    ones = ratings.selectExpr("user_id", "film_id", "1.0F AS rated")
    columns = {"userCol": "user_id", "itemCol": "film_id", "ratingCol": "rated"}
    started = time.perf_counter()
    model = ALS(implicitPrefs=True, seed=0, **columns, **options.settings).fit(ones)
    people = session.read.parquet(str(options.people.resolve())).withColumnRenamed("user_id", "id")
    model.itemFactors.write.parquet(str(options.output.resolve() / "films"))  # what is lazy is computed here
    model.userFactors.join(people, "id").write.parquet(str(options.output.resolve() / "people"))
    seconds["fit"] = time.perf_counter() - started
    costs = of_process(session.sparkContext._gateway.proc.pid)  # noqa: SLF001 - Spark itself, a child of this process
    session.stop()
    print(json.dumps(costs | {f"{name}_seconds": each for name, each in seconds.items()}))


def of_process(pid: int) -> dict[str, float]:
    """Return CPU seconds and the most memory of a process that runs, on Linux."""
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    cpu_seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return {"cpu_seconds": cpu_seconds, "peak_rss_mb": int(kilobytes) * 1024 / 1e6}


if __name__ == "__main__":
    main()
