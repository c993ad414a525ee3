"""The peers' table: the served model against popularity, neighbours, ALS and EASE, on three splits in one run.

By time, each user's last 20 % are hidden; by date, everything after one point in time; at random, 25 % of each user's
ratings. Every model has the settings that were best for it on validation parts (`tuned.json`), is fitted on all that
is not the test, and meets the same users; those by date are the settings by time, as 28 users are too few to tune on.
Writes benchmarks/results/recommender.json.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.candidates import ALS_FADING, FULL, Candidate, by_score, compare, recipes
from recommender.config import tuned_settings
from recommender.evaluate import compare_ndcg, make_task, with_interval
from recommender.loading import Loaded, load_movielens
from recommender.splits import Split, split_at_random, split_by_date, split_by_user_time

RESULTS = Path(__file__).parent / "results" / "recommender.json"
LIMITS = {"time": 0.132, "random": 0.410}
K = 10
SPLITS = ("time", "date", "random")


def main() -> int:
    """Print the tables, write the results; return 1 if the served model misses a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="full or a path (default: %(default)s)")
    parser.add_argument("--dataset", default="latest-small", help="which public data (default: %(default)s)")
    parser.add_argument("--max-users", type=int, default=10_000, help="users evaluated at most (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    data = load_movielens(options.data, dataset=options.dataset)
    console.print(data.source.reason)
    rows: list[dict[str, Any]] = []
    with progress(console, "three splits", total=sum(len(models(data, name)) for name in SPLITS)) as advance:
        for name in SPLITS:
            rows += measure(data, name, max_users=options.max_users, advance=advance)
    for name in SPLITS:
        console.print(table([row for row in rows if row["split"] == name]))
    served = {row["split"]: row["ndcg"]["estimate"] for row in rows if row["name"] == FULL}
    missed = {name: served[name] for name, limit in LIMITS.items() if served[name] < limit}
    recorded = {"dataset": data.name, "data_sha256": data.sha256, "k": K, "served": FULL, "limits": LIMITS}
    RESULTS.write_text(json.dumps({**recorded, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written: {RESULTS}")
    if missed:
        console.print(f"Missed: {missed}; the limits are {LIMITS}")
    return bool(missed)


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
    return [row_of(candidate, found[FULL], data, name, split) for candidate in by_score(found)]


def row_of(candidate: Candidate, served: Candidate, data: Loaded, name: str, split: Split) -> dict[str, Any]:
    """Return one row of the table."""
    evaluation = candidate.evaluation
    row = {
        "dataset": data.name,
        "split": name,
        "name": candidate.name,
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
