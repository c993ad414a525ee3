"""MLlib's ALS as a peer: fitted by Spark on a stored data set, measured on the people that a training would look at.

Spark runs in an environment of its own (`make .state/spark/installed.lock`), and needs Java 17. People's factors times
films' factors are multiplied here; films of a person's history are left out, as for every model.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from rich.console import Console

from portfolio_shared.evaluation.ranking import EMPTY
from portfolio_shared.evaluation.tables import terminal_table
from recommender.data.drawn import Drawn, draw
from recommender.data.etl.spark_command import ENVIRONMENT
from recommender.evaluation.at_scale import popularity
from recommender.evaluation.evaluate import accuracy, task_of_test
from recommender.evaluation.task import Task, lists_for
from recommender.models.fit import UNWEIGHTED
from recommender.models.top_k import best

JOB = Path(__file__).with_name("spark_als.py")
SETTINGS = {"rank": 32, "maxIter": 10, "regParam": 0.1, "alpha": 1.0}
"""The best of those tried on the validation part of latest-small: docs/spark.md has them."""
K = 10


def main() -> None:
    """Print the row of MLlib's ALS beside that of popularity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that `recommender etl` wrote")
    parser.add_argument("--max-users", type=int, default=2_000, help="people measured (default: %(default)s)")
    parser.add_argument("--memory", default="4g", help="heap of Spark (default: %(default)s)")
    parser.add_argument("--settings", type=json.loads, default=SETTINGS, help="of MLlib's ALS (default: %(default)s)")
    parser.add_argument("--part", choices=("validation", "test"), default="test", help="what is looked for")
    options = parser.parse_args()
    drawn = draw(str(options.data), max_users=options.max_users, seed=0)
    task = task_of(drawn, options.part)
    lists, costs = als_lists(drawn, task, part=options.part, settings=options.settings, memory=options.memory)
    popular = lists_for(popularity(task), task, k=K, weigh=UNWEIGHTED)
    rows = [
        [name, *(f"{values.mean():.4f}" for values in accuracy(each, task, k=K).values())]
        for name, each in (("popularity", popular), ("ALS of MLlib", lists))
    ]
    console, names = Console(), list(accuracy(popular, task, k=K))
    console.print(terminal_table(f"{len(task.users):,} people, {options.part}", ["model", *names], rows))
    console.print(json.dumps(costs))


def task_of(drawn: Drawn, part: str) -> Task:
    """Return whose histories are continued with what."""
    if part == "test":
        return task_of_test(drawn)
    parts = drawn.split
    counted = parts.catalogue.counted(drawn.totals.raters["train"])
    return Task(parts.train, parts.validation, drawn.people, counted)


def als_lists(
    drawn: Drawn, task: Task, *, part: str = "test", settings: dict[str, float] = SETTINGS, memory: str = "4g"
) -> tuple[NDArray[np.int64], dict[str, float]]:
    """Fit on what comes before a part; return lists, shape (n_users, 10), and what the whole job cost.

    The costs are seconds of the whole job, of starting and of fitting; CPU seconds and most memory in MB of Spark.
    """
    with tempfile.TemporaryDirectory() as place:
        people, output = Path(place) / "people.parquet", Path(place) / "factors"
        ids = drawn.totals.user_ids
        parquet.write_table(pa.table({"user_id": pa.array(ids[task.users], pa.int32())}), people)
        before = {"validation": "1", "test": "2"}[part]
        paths = map(str, (ENVIRONMENT, JOB, drawn.folder, people, output))
        command = [*paths, "--before", before, "--settings", json.dumps(settings)]
        submit = {"PYSPARK_SUBMIT_ARGS": f"--driver-memory {memory} --conf spark.local.dir={place} pyspark-shell"}
        environment = {**os.environ, **submit, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": str(ENVIRONMENT)}
        started = time.perf_counter()
        printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        costs = {"seconds": time.perf_counter() - started, **json.loads(printed.splitlines()[-1])}
        lists = ranked(task, factors(output / "people", ids), factors(output / "films", drawn.totals.film_ids))
    return lists, {name: round(value, 2) for name, value in costs.items()}


def factors(folder: Path, ids: NDArray[np.int64]) -> dict[str, Any]:
    """Return positions among the ids, and vectors, shape (n, rank)."""
    table = parquet.read_table(folder).sort_by("id")
    vectors = np.stack(table["features"].to_numpy())
    return {"places": np.searchsorted(ids, table["id"].to_numpy()), "vectors": vectors}


def ranked(task: Task, people: dict[str, Any], films: dict[str, Any]) -> NDArray[np.int64]:
    """Return the best films of each person that are not in the history; a film without factors is never one."""
    lists = np.full((len(task.users), K), EMPTY, dtype=np.int64)
    tastes = dict(zip(people["places"].tolist(), people["vectors"], strict=True))
    for row, user in enumerate(task.users.tolist()):
        scores = np.full(len(task.catalogue), -np.inf, dtype=np.float32)
        scores[films["places"]] = films["vectors"] @ tastes[user]
        scores[task.history(user)[0]] = -np.inf
        found = best(scores, K)
        lists[row, : len(found)] = found
    return lists


if __name__ == "__main__":
    main()
