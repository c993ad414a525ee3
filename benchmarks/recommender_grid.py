"""What choosing rank and penalty for the data at hand is worth on the test, beside the settings in use.

Each is chosen on validation parts alone. By time, each user's last 20 % are hidden, as in a training; at random, 25 %
of each user's ratings; by rank, as in published tables, a rating is hidden if its random place among those of its user,
or of its film, is beyond 75 % of them. Writes benchmarks/results/recommender_grid.json.
"""

import argparse
import sys
from typing import Any

import numpy as np
from record import RESULTS, finish
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import ModelSettings, TrainConfig, tuned_settings
from recommender.data.load import Dataset, load, split
from recommender.data.ratings import Ratings
from recommender.data.splits import split_at_random
from recommender.evaluation.evaluate import Evaluation, compare_ndcg, measure
from recommender.evaluation.grid import choose_rank_and_penalty
from recommender.evaluation.measured import grid_table
from recommender.evaluation.task import Task, lists_for, make_task
from recommender.models.fit import FULL, recipes
from recommender.tune import SHARE_OF_RANDOM, SPLITS_OF_RANDOM

DATA = (
    ("full", "latest-small", "time"),
    ("sample", "latest-small", "time"),
    ("full", "100k", "time"),
    ("full", "100k", "random"),
    ("full", "100k", "rank among a user's"),
    ("full", "100k", "rank among a film's"),
)
K, LEARNED, SEED = 10, 0.75, 0


def main() -> int:
    """Choose, measure, print and write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console, rows = Console(), []
    with progress(console, "data", total=len(DATA)) as advance:
        for setting, dataset, by in DATA:
            rows.append(measured(load(setting, dataset=dataset), by))
            advance(f"{setting}, by {by}")
    recorded = {"k": K, "rows": rows}
    console.print(grid_table(recorded))
    return finish(console, RESULTS / "recommender_grid.json", recorded, [])


def measured(data: Dataset, by: str) -> dict[str, Any]:
    """Return the nDCG on the test of the settings in use and of those chosen, and their paired difference."""
    test, validation = tasks(data, by)
    in_use = tuned_settings("time" if by == "time" else "random")
    grid = choose_rank_and_penalty(validation, in_use, k=K, budget=TrainConfig.model_fields["grid_seconds"].default)
    before, after = (evaluated(test, settings) for settings in (in_use, grid.settings))
    error = compare_ndcg(after.per_user["ndcg"], before.per_user["ndcg"]).difference  # below 0: the chosen are better
    return {
        "data": data.name,
        "split": by,
        "ratings": len(data.ratings),
        "users": len(test.users),
        "grid": grid.as_json(),
        "in_use": before.metric("ndcg")._asdict(),
        "chosen": after.metric("ndcg")._asdict(),
        "difference": Interval(0 - error.estimate, 0 - error.high, 0 - error.low)._asdict(),
    }


def tasks(data: Dataset, by: str) -> tuple[Task, list[Task]]:
    """Return the test, and the validation parts: by time the part before it, else re-splits of everything but it."""
    if by == "time":
        parts = split(data)
        validation = make_task(parts.train, parts.validation, data.catalogue)
        return make_task(parts.before_test, parts.test, data.catalogue), [validation]
    if by == "random":
        parts = split_at_random(data.ratings, data.catalogue, seed=SEED)
        before, hidden = parts.before_test, parts.test
    else:
        before, hidden = split_by_rank(data.ratings, of_user=by.endswith("user's"))
    again = [
        split_at_random(before, data.catalogue, share=SHARE_OF_RANDOM, seed=SEED + 1 + number)
        for number in range(SPLITS_OF_RANDOM)
    ]
    return make_task(before, hidden, data.catalogue), [
        make_task(parts.before_test, parts.test, data.catalogue) for parts in again
    ]


def split_by_rank(ratings: Ratings, *, of_user: bool) -> tuple[Ratings, Ratings]:
    """Return what is learned from and what is hidden: a rating is learned from if rank / count is at most 0.75."""
    owners = ratings.users if of_user else ratings.items
    counts = np.bincount(owners)
    shuffled = np.lexsort((np.random.default_rng(SEED).random(len(ratings)), owners))
    rank = np.empty(len(ratings), dtype=np.int64)
    rank[shuffled] = np.arange(1, len(ratings) + 1) - (np.cumsum(counts) - counts)[owners[shuffled]]
    learned = rank / counts[owners] <= LEARNED
    return ratings.where(learned), ratings.where(~learned)


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def evaluated(task: Task, settings: ModelSettings) -> Evaluation:
    """Fit the served kind of EASE on everything but the test, and measure it there."""
    recipe = recipes(settings, task.before, task.catalogue)[FULL]
    lists = lists_for(recipe.fit(task.before.matrix()), task, k=K, weigh=recipe.weigh)
    return measure(lists, task, k=K)


if __name__ == "__main__":
    sys.exit(main())
