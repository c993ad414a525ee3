"""The baselines' table: the served model against popularity, neighbors, ALS and EASE, on three splits in one run.

By time, each user's last 20 % are hidden; by date, everything after one point in time; at random, 25 % of each user's
ratings. Every model has the settings that were best for it on validation parts (`tuned.json`), is fitted on all that
is not the test, and meets the same users; those by date are the settings by time, as 28 users are too few to tune on.
Writes benchmarks/results/recommender.json and the figure of the splits, or recommender_models_NAME.json for other data
than latest-small: the limits are of latest-small, and so are the settings.
"""

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import scipy.sparse as sp
from record import RESULTS, check_limits, finish
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.figures import save_figure
from portfolio_shared.evaluation.sections import interval_cell
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import ModelSettings, tuned_settings
from recommender.data.load import Dataset, load, split
from recommender.data.splits import Split, split_at_random, split_by_date
from recommender.evaluation.candidates import describe_settings
from recommender.evaluation.evaluate import LONGEST, Evaluation, compare_ndcg, measure
from recommender.evaluation.study_figures import draw_splits
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import ALS, ALS_RECENT, FULL, Recipe, Scorer, recipes, too_large

DATASET = "latest-small"
LIMITS = {"time": 0.132, "random": 0.410}
K, DOCS = 10, RESULTS.parents[1] / "projects/recommender/docs"
SPLITS = ("time", "date", "random")
BY_PREFERENCE = (FULL, ALS_RECENT, ALS)
"""The model that stands for the served one is the first of these that was fitted."""


def main() -> int:
    """Print the tables, write the results; return 1 if the served model misses a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="sample, full or a path (default: %(default)s)")
    parser.add_argument("--dataset", default=DATASET, help="which public data (default: %(default)s)")
    parser.add_argument("--max-users", type=int, default=10_000, help="users evaluated at most (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    data = load(options.data, dataset=options.dataset)
    console.print(data.source.reason)
    for name, reason in too_large(tuned_settings(), data.ratings).items():
        console.print(f"Not fitted: {name}: {reason}")
    rows: list[dict[str, Any]] = []
    with progress(console, "three splits", total=sum(len(models(data, name)) for name in SPLITS)) as advance:
        for name in SPLITS:
            rows += measure_split(data, name, max_users=options.max_users, advance=advance)
    for name in SPLITS:
        console.print(table([row for row in rows if row["split"] == name]))
    default = data.source.kind == "full" and options.dataset == DATASET
    limits = LIMITS if default else {}
    served = {row["split"]: row["ndcg"]["estimate"] for row in rows if row["served"]}
    recorded = {"dataset": data.name, "data_sha256": data.sha256, "k": K, "limits": limits, "rows": rows}
    path = RESULTS / ("recommender.json" if default else f"recommender_models_{name_of(data, options.dataset)}.json")
    if default:
        users = {row["split"]: row["users"] for row in rows}
        console.print(f"Drawn: {save_figure(draw_splits(served, users, k=K), DOCS / 'splits.svg')}")
    return finish(console, path, recorded, check_limits(served, limits, least=True))


def name_of(data: Dataset, dataset: str) -> str:
    """Return what to call the results: the public data set, the sample, or the folder of other data."""
    return {"full": dataset, "sample": "sample"}.get(data.source.kind, data.source.path.name)


def split_of(data: Dataset, name: str) -> Split:
    """Return one of the three splits."""
    if name == "time":
        return split(data)
    return (split_by_date if name == "date" else split_at_random)(data.ratings, data.catalogue)


def settings_for(name: str) -> ModelSettings:
    """Return the settings that are best for a split; by date, those by time."""
    return tuned_settings("random" if name == "random" else "time")


def models(data: Dataset, name: str) -> dict[str, Recipe]:
    """Return the models with the settings that are best for this split."""
    available = recipes(settings_for(name), data.ratings, data.catalogue)
    if name == "random":
        del available[ALS_RECENT]  # where order means nothing it would be ALS again
    return available


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_split(data: Dataset, name: str, *, max_users: int, advance: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return one row a model, the best first: metrics with intervals, and the paired difference from the served one."""
    parts = split_of(data, name)
    task = make_task(parts.before_test, parts.test, data.catalogue, max_users=max_users)
    X, evaluations, costs = task.before.matrix(), {}, {}
    for model, recipe in models(data, name).items():
        fitted, costs[model] = measured_fit(recipe, X)
        evaluations[model] = measure(lists_for(fitted, task, k=LONGEST, weigh=recipe.weigh), task, k=K)
        advance(model)
    served = next(model for model in BY_PREFERENCE if model in evaluations)
    ordered = sorted(evaluations, key=lambda model: -evaluations[model].metric("ndcg").estimate)
    shared = {"dataset": data.name, "split": name, "users": len(task.users), "excluded": parts.excluded}
    return [
        {
            **shared,
            "name": model,
            "served": model == served,
            "settings": describe_settings(model, settings_for(name)),
            **{metric: evaluations[model].metric(metric)._asdict() for metric in evaluations[model].per_user},
            "coverage": evaluations[model].coverage,
            **costs[model],
            **({} if model == served else {"difference": difference(evaluations[served], evaluations[model])}),
        }
        for model in ordered
    ]


def measured_fit(recipe: Recipe, X: sp.csr_array) -> tuple[Scorer, dict[str, float]]:
    """Fit once for the seconds, and once more for the largest memory of arrays: counting it takes time."""
    started = time.perf_counter()
    model = recipe.fit(X)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    try:
        recipe.fit(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return model, {"fit_seconds": seconds, "fit_megabytes": peak / 1e6}


def difference(served: Evaluation, other: Evaluation) -> dict[str, float]:
    """Return the served model's nDCG minus that of another model on the same users, paired: above 0 it is better."""
    error = compare_ndcg(served.per_user["ndcg"], other.per_user["ndcg"]).difference  # below 0 it is better
    return Interval(-error.estimate, -error.high, -error.low)._asdict()


def table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows of one split for the terminal."""
    split, users = rows[0]["split"], rows[0]["users"]
    cells = [
        [
            row["name"],
            interval_cell(row["ndcg"]),
            f"{row['recall']['estimate']:.3f}",
            f"{row['hit_rate']['estimate']:.3f}",
            f"{row['fit_seconds']:.2f}",
            interval_cell(row["difference"]) if "difference" in row else "",
        ]
        for row in rows
    ]
    title = f"Split: {split}, {users} users; difference: served - this, paired 95 % interval, above 0 is better"
    return terminal_table(title, ["model", f"nDCG@{K}", "recall", "hit rate", "fit, s", "difference"], cells)


if __name__ == "__main__":
    sys.exit(main())
