"""What a million ratings cost, and up to a hundred times as many: reading, ETL, the sums behind EASE, training.

Each step is a command in a process of its own, so that seconds, CPU and peak memory (`ru_maxrss`) are its own. Data are
drawn, measured and deleted one size after the other; what a step cost is kept in a folder until all sizes are done, so
the same command goes on with the step in which it was interrupted, if machine and limit are the same. Writes
benchmarks/results/recommender_scale.json, the figure and the tables of projects/recommender/docs/scale.md.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, check_limits, finish
from rich.console import Console

from portfolio_shared.bundle import read_manifest
from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.uncertainty import bootstrap_interval
from recommender.config import MODEL_NAME, ReportConfig
from recommender.data.etl.manifest import read_manifest as read_stored
from recommender.evaluation.scale import draw_scale
from recommender.models.fit import POPULARITY
from recommender.report import report

ROWS = (1_000_000, 10_000_000, 25_000_000, 100_000_000)
USERS_MEASURED, K = 2_000, 10  # the length of lists is the default of `recommender train`
MOST_FOR_ALS = 1_000_000  # ratings: MLlib's ALS takes minutes, and Spark's memory
LIMITS = {"read 25,000,000 ratings, CPU seconds": 35.0, "read 25,000,000 ratings, MB": 1_200.0}
FIGURE = Path("projects/recommender/docs/scale.svg")


def main() -> int:
    """Measure each size that is not measured yet; print, write; return 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=ROWS, help="sizes; others stay as recorded (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=Path(".state/bench-scale"), help="of data and of sizes done")
    parser.add_argument("--memory", default="2GB", help="what DuckDB may take (default: %(default)s)")
    parser.add_argument("--most-for-als", type=int, default=MOST_FOR_ALS, help="largest size with MLlib's ALS; 0: none")
    parser.add_argument("--output", type=Path, default=RESULTS / "recommender_scale.json", help="record to write")
    options = parser.parse_args()
    console = Console(markup=False)
    conditions = conditions_of(options)
    try:
        others = others_of(options.output, options.rows, conditions)
    except ValueError as error:
        parser.error(str(error))
    sizes = others | {rows: measured(rows, options, console) for rows in sorted(options.rows)}
    recorded: dict[str, Any] = {
        **conditions,
        "k": K,
        "users_measured": USERS_MEASURED,
        "sizes": [sizes[rows] for rows in sorted(sizes)],
    }
    status = finish(console, options.output, recorded, check_limits(*limits_of(recorded["sizes"])))
    if options.output == RESULTS / "recommender_scale.json":
        save_figure(draw_scale(recorded), FIGURE)
        report(ReportConfig(refill=True), console)
    for rows in options.rows:
        done_file(rows, options.folder).unlink()
    return status


def conditions_of(options: argparse.Namespace) -> dict[str, str]:
    """Return what all sizes of a record have in common: costs of another machine or limit are no neighbors."""
    machine = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    return {"machine": machine, "memory_limit": options.memory}


def others_of(record: Path, rows: Sequence[int], conditions: Mapping[str, str]) -> dict[int, dict[str, Any]]:
    """Return the sizes of the record that is there and that are not measured again.

    Raises
    ------
    ValueError
        If they were measured under other conditions.
    """
    recorded = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {"sizes": []}
    others = {size["ratings"]: size for size in recorded["sizes"] if size["ratings"] not in rows}
    theirs = {name: recorded.get(name) for name in conditions}
    if others and theirs != conditions:
        sizes = ", ".join(f"{size:,}" for size in sorted(others))
        raise ValueError(f"{record} has {sizes} ratings from {theirs}, and this is {conditions}: name another --output")
    return others


def kept_of(path: Path, conditions: Mapping[str, str]) -> dict[str, Any]:
    """Return what an interrupted run kept in a file; nothing if it ran under other conditions."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return kept if all(kept.get(name) == value for name, value in conditions.items()) else {}


def keep(path: Path, kept: Mapping[str, Any]) -> None:
    """Write a file that is whole or not there, whenever this is interrupted."""
    unfinished = path.with_suffix(".next")
    unfinished.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def done_file(rows: int, folder: Path) -> Path:
    """Return where the costs of a size wait for the others."""
    return folder / f"{rows}.json"


def measured(rows: int, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Return what a size costs: as an interrupted run left it, or measured now."""
    done, data = done_file(rows, options.folder), options.folder / f"{rows}"
    if size := kept_of(done, conditions_of(options)):
        console.print(f"{rows:,}: measured already ({done})")
    else:
        data.mkdir(parents=True, exist_ok=True)
        size = measure(rows, data, options, console)
        keep(done, size)  # before the data go: without both, hours would be measured again
    if data.exists():
        shutil.rmtree(data)
    return size


def measure(rows: int, data: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Draw so many ratings, and run each step on them; what no later step needs is deleted at once."""
    source, stored, bundle = (data / name for name in ("source", "stored", "bundle"))
    here, limit = str(Path(sys.executable).with_name("recommender")), ["--memory-limit", options.memory]
    kept, conditions = data / "steps.json", conditions_of(options)
    steps: dict[str, dict[str, float]] = kept_of(kept, conditions).get("steps", {})

    def run(step: str, *command: str, begins: Path | None = None) -> None:
        if step in steps:
            return
        if begins:
            remove_left(begins)
        steps[step] = costs_of(command, data / f"{step}.log")
        keep(kept, {**conditions, "steps": steps})
        console.print(f"{rows:,} {step}: {steps[step]}")

    run("generate", here, "generate", "--ratings", str(rows), "-o", str(source), begins=source)
    if source.is_dir():
        steps["generate"]["written_mb"] = megabytes(source)
    run("read", here, "data", "--data", str(source))
    run("etl", here, "etl", str(source), "-o", str(stored), *limit, begins=stored)
    shutil.rmtree(source, ignore_errors=True)
    engine = ["--engine", "duckdb", *limit]
    run("sum", sys.executable, "-m", "recommender.data.gram_job", str(stored), *engine, begins=stored / "grams")
    training = ["--max-users", str(USERS_MEASURED), "--tracking-uri", "", "--output", str(bundle)]
    run("train", here, "train", "--data", str(stored), *engine, *training, begins=bundle)
    manifest = read_manifest(bundle, project=MODEL_NAME)
    name = f"ndcg_at_{K}"
    ndcg = {str(manifest.config["chosen"]): manifest.metrics[name], POPULARITY: manifest.baselines[POPULARITY][name]}
    size: dict[str, Any] = {
        **conditions,
        "ratings": rows,
        "people": rows_of(stored, "people"),
        "films": rows_of(stored, "films"),
        "source_mb": steps["generate"]["written_mb"],
        "stored_mb": round(megabytes(stored) - megabytes(stored / "grams"), 1),
        "steps": steps,
        "ndcg": {model: value.model_dump() for model, value in ndcg.items()},
    }
    if rows <= options.most_for_als:
        steps["als"], size["ndcg"]["ALS of MLlib"] = als(stored)
    return size


def remove_left(output: Path) -> None:
    """Remove what an interrupted step left: its output, ``.NAME.next`` from which an ETL goes on, scratch folders."""
    patterns = (output.name, f".{output.name}.*", ".etl-*", ".new-*")
    for left in [path for pattern in patterns for path in output.parent.glob(pattern)]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def costs_of(command: tuple[str, ...], log: Path) -> dict[str, float]:
    """Run a command, its output in a file, and return seconds, CPU seconds and the most memory in MB.

    Raises
    ------
    RuntimeError
        If the command fails, with the end of what it printed.
    """
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}: {log.read_text(encoding='utf-8')[-2000:]}"
        )
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_mb": round(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6),
    }


def als(stored: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return what MLlib's ALS costs, starting Spark included, and its nDCG on the people of the test."""
    from recommender_spark import als_lists

    from recommender.data.drawn import draw
    from recommender.evaluation.evaluate import accuracy, task_of_test

    drawn = draw(str(stored), max_users=USERS_MEASURED, seed=0)
    task = task_of_test(drawn)
    lists, costs = als_lists(drawn, task)
    values = accuracy(lists, task, k=K)["ndcg"]
    return costs, bootstrap_interval(np.mean, values, seed=0)._asdict()


def rows_of(stored: Path, stage: str) -> int:
    """Return how many rows a stage of the ETL wrote."""
    return next(each.rows_out for each in read_stored(stored).stages if each.name == stage)


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


def limits_of(sizes: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return what is limited and was measured, and its limits."""
    costs = next((size["steps"]["read"] for size in sizes if size["ratings"] == 25_000_000), None)
    if costs is None:
        return {}, {}
    return dict(zip(LIMITS, (costs["cpu_seconds"], costs["peak_rss_mb"]), strict=True)), LIMITS


if __name__ == "__main__":
    sys.exit(main())
