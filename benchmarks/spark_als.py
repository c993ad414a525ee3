"""MLlib's ALS on a stored data set, as a job of Spark: `recommender_spark.py` starts it in Spark's environment.

It fits all ratings before the test, writes the factors of the films, and those of some people, and prints how long each
step took, as one line of JSON.
"""

import argparse
import json
import time
from pathlib import Path

from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession


def main() -> None:
    """Fit, write OUT/films and OUT/people as Parquet, and print seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that `recommender etl` wrote")
    parser.add_argument("people", type=Path, help="Parquet file with the column user_id")
    parser.add_argument("output", type=Path)
    parser.add_argument("--settings", type=json.loads, required=True, help="of pyspark.ml.recommendation.ALS")
    options = parser.parse_args()
    started = time.perf_counter()
    session = SparkSession.builder.appName("ALS").config("spark.log.level", "ERROR").getOrCreate()
    seconds = {"start": time.perf_counter() - started}
    ratings = session.read.parquet(str(options.data.resolve() / "ratings")).where("part < 2")
    ones = ratings.selectExpr("user_id", "film_id", "1.0F AS rated")
    columns = {"userCol": "user_id", "itemCol": "film_id", "ratingCol": "rated"}
    started = time.perf_counter()
    model = ALS(implicitPrefs=True, seed=0, **columns, **options.settings).fit(ones)
    people = session.read.parquet(str(options.people.resolve())).withColumnRenamed("user_id", "id")
    model.itemFactors.write.parquet(str(options.output.resolve() / "films"))  # what is lazy is computed here
    model.userFactors.join(people, "id").write.parquet(str(options.output.resolve() / "people"))
    seconds["fit"] = time.perf_counter() - started
    session.stop()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
