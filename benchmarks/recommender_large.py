"""What size costs: each model on a million generated ratings, reading 1M, ranking metrics, a whole training.

Every step runs in a process of its own, so that its peak memory (`ru_maxrss`) is its own; one thread each. The
ratings are of 200,000 people and 20,000 films (`recommender_generated.py`). Models are fitted on the training part and
measured on the validation part with the settings of `tuned.json`, which are those of latest-small. Writes
benchmarks/results/recommender_large.json.
"""

import argparse
import csv
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from recommender_generated import write_generated
from record import RESULTS, check_limits, finish
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.diversity import catalogue_coverage, novelty
from portfolio_shared.evaluation.ranking import judge, ranking_metrics
from portfolio_shared.evaluation.sections import markdown_table
from recommender.config import TrainConfig, tuned_settings
from recommender.data.catalogue import load_catalogue, save_catalogue
from recommender.data.load import load, split
from recommender.data.ratings import Ratings
from recommender.evaluation.candidates import best_servable
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import SERVABLE, recipes, too_large
from recommender.train import learn

N_USERS, N_FILMS, MEAN_RATINGS = 200_000, 20_000, 5
USERS_MEASURED, K = 2_000, 10
ROWS_OF_1M = 1_000_209
READ_1M, TRAINING = f"read {ROWS_OF_1M:,} ratings, format of 1M", "whole training on latest-small"
LIMITS = {READ_1M: 2.0, TRAINING: 60.0}  # CPU seconds: on busy cores the clock counts others' work too
T = TypeVar("T")
Step = Callable[..., dict[str, Any]]
COLUMNS = ("users", "items", "values", "times")


def main() -> int:
    """Run every step, print, write; return 1 if a limit is missed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        recorded = measure(Path(folder), console)
    measures = ("fit_seconds", "fit_cpu_seconds", "peak_rss_mb", "before_fit_mb", "ndcg")
    rows = [[model["name"], *(f"{model[measure]:,.3f}" for measure in measures)] for model in recorded["models"]]
    console.print(markdown_table(["model", *measures], rows))
    console.print(f"Chosen: {recorded['why']}")
    seconds = {row["name"]: row["cpu_seconds"] for row in recorded["others"]}
    return finish(console, RESULTS / "recommender_large.json", recorded, check_limits(seconds, LIMITS))


def measure(folder: Path, console: Console) -> dict[str, Any]:
    """Run the steps one after the other, each in its process, and return what is recorded."""

    def run(name: str, step: Step, *arguments: Any) -> dict[str, Any]:
        # Spawned, not forked: a fork starts with our memory.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            result = pool.submit(with_peak, step, *arguments).result()
        console.print(f"{name}: {', '.join(f'{key} {value}' for key, value in result.items())}")
        return {"name": name, **result}

    generated = run("generated", generate, folder)
    models = [run(name, fit, folder, name) for name in generated["candidates"]]
    models.sort(key=lambda row: -row["ndcg"])
    others = [
        run(READ_1M, read, folder / "1m", 3),
        run("ranking metrics, 1,000,000 people, 20 films each", metrics),
        run(TRAINING, train),
    ]
    sizes = {name: generated[name] for name in ("ratings", "users", "films", "excluded")}
    return {**sizes, "k": K, "users_measured": USERS_MEASURED, **choice(models), "models": models, "others": others}


def choice(models: list[dict[str, Any]]) -> dict[str, str | None]:
    """Return which model a training would serve, and why."""
    ndcg = {model["name"]: model["ndcg"] for model in models}
    try:
        chosen = best_servable(ndcg)
    except ValueError as error:
        return {"chosen": None, "why": f"none. {error}"}
    of = " and ".join(f'"{name}" {ndcg[name]:.3f}' for name in SERVABLE if name in ndcg)
    return {"chosen": chosen, "why": f'"{chosen}", the best on validation of those that can be served ({of})'}


def with_peak(step: Step, *arguments: Any) -> dict[str, Any]:
    """Return what a step measures, and the largest memory that this process has had by then."""
    return {**step(*arguments), "peak_rss_mb": peak_megabytes()}


def generate(folder: Path) -> dict[str, Any]:
    """Write the generated ratings in two formats, and the training and validation parts as arrays."""
    source = write_generated(folder / "generated", n_users=N_USERS, n_films=N_FILMS, mean_ratings=MEAN_RATINGS)
    write_1m(source, folder / "1m")
    data = load(str(source))
    parts = split(data)
    for name, part in (("train", parts.train), ("validation", parts.validation)):
        np.savez(folder / f"{name}.npz", allow_pickle=False, **{column: getattr(part, column) for column in COLUMNS})
    save_catalogue(data.catalogue, folder / "films.json")
    settings = tuned_settings()
    return {
        "ratings": len(data.ratings),
        "users": data.ratings.n_users,
        "films": len(data.catalogue),
        "candidates": list(recipes(settings, parts.before_test, data.catalogue)),
        "excluded": [f"{name}: {reason}" for name, reason in too_large(settings, parts.before_test).items()],
    }


def write_1m(source: Path, target: Path) -> None:
    """Write a folder in the format of latest-small in that of 1M, and as many ratings: whole stars, two colons."""
    target.mkdir()
    for name, whole in (("ratings", True), ("movies", False)):
        with (source / f"{name}.csv").open(encoding="utf-8", newline="") as read:
            _, *rows = csv.reader(read)
        if whole:
            rows = [[user, film, f"{np.ceil(float(stars)):.0f}", at] for user, film, stars, at in rows[:ROWS_OF_1M]]
        text = "".join("::".join(row) + "\n" for row in rows)
        (target / f"{name}.dat").write_text(text, encoding="latin-1")


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def fit(folder: Path, name: str) -> dict[str, Any]:
    """Fit one model on the training part; measure it on some users of the validation part."""
    catalogue = load_catalogue(folder / "films.json")
    train, validation = (read_part(folder / f"{part}.npz", len(catalogue)) for part in ("train", "validation"))
    task = make_task(train, validation, catalogue, max_users=USERS_MEASURED)
    recipe, X = recipes(tuned_settings(), task.before, task.catalogue)[name], task.before.matrix()
    before = peak_megabytes()
    model, seconds, cpu = timed(lambda: recipe.fit(X))
    peak = peak_megabytes()
    lists = lists_for(model, task, k=K, weigh=recipe.weigh)
    ndcg = float(accuracy(lists, task, k=K)["ndcg"].mean())
    return {
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu,
        "before_fit_mb": before,
        "after_fit_mb": peak,
        "ndcg": ndcg,
    }


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return a result, the seconds that it took, and the CPU seconds."""
    started, used = time.perf_counter(), time.process_time()
    return work(), time.perf_counter() - started, time.process_time() - used


def read_part(path: Path, n_films: int) -> Ratings:
    """Read a part of the split as `generate` wrote it."""
    with np.load(path, allow_pickle=False) as arrays:
        users, items, values, times = (arrays[column] for column in COLUMNS)
    return Ratings(users, items, values, times, N_USERS, n_films)


def read(folder: Path, repeats: int) -> dict[str, Any]:
    """Read a folder in one of the public formats; the median time."""
    reads = [timed(lambda: load(str(folder)).report.rows_read) for _ in range(repeats)]
    rows, seconds, cpu = zip(*reads, strict=True)
    return {"rows": rows[0], "seconds": float(np.median(seconds)), "cpu_seconds": float(np.median(cpu))}


def metrics() -> dict[str, Any]:
    """Measure random lists: every accuracy metric, coverage and novelty, for a million people."""
    rng, n_users, n_items, length, relevant = np.random.default_rng(0), 1_000_000, 20_000, 20, 5
    first = rng.integers(n_items, size=(n_users, 1))
    lists = (first + 7 * np.arange(length)) % n_items
    hidden = (first + 3 * np.arange(relevant)) % n_items  # 21 places apart every seventh: some are hits
    users = np.repeat(np.arange(n_users), relevant)
    counts = rng.integers(1, n_users, size=n_items)

    def all_metrics() -> None:
        ranking_metrics(judge(lists, users, hidden.ravel()), length)
        catalogue_coverage(lists, n_items)
        novelty(lists, counts, n_users)

    _, seconds, cpu = timed(all_metrics)
    return {"seconds": seconds, "cpu_seconds": cpu}


def train() -> dict[str, Any]:
    """Train on latest-small with everything that belongs to it, from reading to the evaluation on the test."""
    trained, seconds, cpu = timed(lambda: learn(TrainConfig(data="full", tracking_uri=""), Console(quiet=True)))
    return {"seconds": seconds, "cpu_seconds": cpu, "served": trained.chosen}


def peak_megabytes() -> float:
    """Return the largest memory that this process has had resident so far; Linux counts kibibytes, macOS bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    sys.exit(main())
