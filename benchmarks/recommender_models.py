"""The peers' table: the served model against popularity, neighbours, ALS and EASE, on three splits in one run.

By time, each user's last 20 % are hidden; by date, everything after one point in time; at random, 25 % of each user's
ratings. Every model has the settings that were best for it on validation parts (`tuned.json`), is fitted on all that
is not the test, and meets the same users; those by date are the settings by time, as 28 users are too few to tune on.
Writes benchmarks/results/recommender.json, or recommender_models_NAME.json for other data than latest-small: the
limits are of latest-small, and so are the settings.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import tuned_settings
from recommender.data.load import Loaded, load_movielens
from recommender.data.splits import Split, split_at_random, split_by_date, split_by_user_time
from recommender.evaluation.candidates import (
    ALS,
    ALS_FADING,
    FULL,
    Candidate,
    by_score,
    compare,
    describe_settings,
    left_out,
    recipes,
)
from recommender.evaluation.evaluate import compare_ndcg, make_task

RESULTS = Path(__file__).parent / "results"
DATASET = "latest-small"
LIMITS = {"time": 0.132, "random": 0.410}
K = 10
SPLITS = ("time", "date", "random")
BY_PREFERENCE = (FULL, ALS_FADING, ALS)
"""The model that stands for the served one is the first of these that was fitted."""


def main() -> int:
    """Print the tables, write the results; return 1 if the served model misses a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="sample, full or a path (default: %(default)s)")
    parser.add_argument("--dataset", default=DATASET, help="which public data (default: %(default)s)")
    parser.add_argument("--max-users", type=int, default=10_000, help="users evaluated at most (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    data = load_movielens(options.data, dataset=options.dataset)
    console.print(data.source.reason)
    for said in left_out(tuned_settings(), data.movielens.ratings):
        console.print(f"Not fitted: {said}")
    rows: list[dict[str, Any]] = []
    with progress(console, "three splits", total=sum(len(models(data, name)) for name in SPLITS)) as advance:
        for name in SPLITS:
            rows += measure(data, name, max_users=options.max_users, advance=advance)
    for name in SPLITS:
        console.print(table([row for row in rows if row["split"] == name]))
    default = data.source.kind == "full" and options.dataset == DATASET
    limits = LIMITS if default else {}
    served = {row["split"]: row["ndcg"]["estimate"] for row in rows if row["served"]}
    missed = {split: served[split] for split, limit in limits.items() if served[split] < limit}
    recorded = {"dataset": data.name, "data_sha256": data.sha256, "k": K, "limits": limits, "rows": rows}
    path = RESULTS / ("recommender.json" if default else f"recommender_models_{name_of(data, options.dataset)}.json")
    path.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written: {path}")
    if missed:
        console.print(f"Missed: {missed}; the limits are {limits}")
    return bool(missed)


def name_of(data: Loaded, dataset: str) -> str:
    """Return what to call the results: the public data set, the sample, or the folder of other data."""
    if data.source.kind == "full":
        return dataset
    return "sample" if data.source.path is None else data.source.path.name


def split_of(data: Loaded, name: str) -> Split:
    """Return one of the three splits."""
    ratings = data.movielens.ratings
    if name == "time":
        return split_by_user_time(ratings)
    return split_by_date(ratings) if name == "date" else split_at_random(ratings, seed=0)


def models(data: Loaded, name: str) -> dict[str, Any]:
    """Return the models with the settings that are best for this split."""
    if name != "random":
        return recipes(tuned_settings("time"), data.movielens.ratings, data.movielens.catalogue)
    found = recipes(tuned_settings("random"), data.movielens.ratings, data.movielens.catalogue)
    del found[ALS_FADING]  # nothing fades where order means nothing: it would be ALS again
    return found


def measure(data: Loaded, name: str, *, max_users: int, advance: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return one row a model, the best first: metrics with intervals, and the paired difference from the served one."""
    split = split_of(data, name)
    task = make_task(split.before_test, split.test, data.movielens.catalogue, max_users=max_users)
    found = compare(task, models(data, name), k=K, advance=advance)
    served = found[next(model for model in BY_PREFERENCE if model in found)]
    return [row_of(candidate, served, data, name, split) for candidate in by_score(found)]


def row_of(candidate: Candidate, served: Candidate, data: Loaded, name: str, split: Split) -> dict[str, Any]:
    """Return one row of the table."""
    settings = tuned_settings("random" if name == "random" else "time")
    evaluation = candidate.evaluation
    row = {
        "dataset": data.name,
        "split": name,
        "name": candidate.name,
        "served": candidate is served,
        "settings": describe_settings(candidate.name, settings),
        **{metric: interval._asdict() for metric, interval in evaluation.metrics.items()},
        "coverage": evaluation.coverage,
        "fit_seconds": candidate.fit_seconds,
        "fit_megabytes": candidate.fit_megabytes,
        "model_megabytes": candidate.model_megabytes,
        "score_milliseconds": candidate.score_milliseconds,
        "users": len(evaluation.lists),
        "left_out": split.left_out,
    }
    if candidate is not served:
        # As an error, below 0 is better; as a difference of nDCG, above 0.
        error = compare_ndcg(served.evaluation.per_user["ndcg"], evaluation.per_user["ndcg"]).difference
        row["served_minus_this"] = Interval(-error.estimate, -error.high, -error.low)._asdict()
    return row


def table(rows: list[dict[str, Any]]) -> Table:
    """Return the rows of one split for the terminal."""
    split, users = rows[0]["split"], rows[0]["users"]
    drawn = Table(title=f"Split: {split}, {users} users; served - this: paired 95 % interval, above 0 is better")
    for heading in ("model", f"nDCG@{K}", "recall", "hit rate", "fit, s", "served - this"):
        drawn.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows:
        difference = with_interval(Interval(**row["served_minus_this"])) if "served_minus_this" in row else ""
        drawn.add_row(
            row["name"],
            with_interval(Interval(**row["ndcg"])),
            f"{row['recall']['estimate']:.3f}",
            f"{row['hit_rate']['estimate']:.3f}",
            f"{row['fit_seconds']:.2f}",
            difference,
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
