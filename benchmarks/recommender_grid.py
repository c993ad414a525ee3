"""What choosing rank and penalty for the data at hand is worth on the test, beside the settings in use.

Each is chosen on the validation parts that `recommender tune` has for its split. By time, each user's last 20 % are
hidden, as in a training; at random, 25 % of each user's ratings, as in published tables. Writes
benchmarks/results/recommender_grid.json.
"""

import argparse
import sys
from typing import Any

from record import RESULTS, finish
from rich.console import Console
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.terminal import progress
from recommender.config import ModelSettings, SplitName, TrainConfig, TuneConfig, tuned_settings
from recommender.data.load import Dataset, load, split
from recommender.data.splits import Split, split_at_random
from recommender.evaluation.evaluate import Evaluation, compare_ndcg, measure
from recommender.evaluation.grid import choose_rank_and_penalty
from recommender.evaluation.measured import grid_table
from recommender.evaluation.task import lists_for, make_task
from recommender.models.fit import FULL, recipes
from recommender.tune import validation_tasks

DATA: tuple[tuple[str, str, SplitName], ...] = (
    ("full", "latest-small", "time"),
    ("sample", "latest-small", "time"),
    ("full", "100k", "time"),
    ("full", "100k", "random"),
)
K = 10


def main() -> int:
    """Choose, measure, print and write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    console, rows = Console(), []
    with progress(console, "data", total=len(DATA)) as advance:
        for setting, dataset, by in DATA:
            rows.append(measured(load(setting, dataset=dataset), by))
            advance(f"{setting}, split by {by}")
    recorded = {"k": K, "rows": rows}
    console.print(grid_table(recorded))
    return finish(console, RESULTS / "recommender_grid.json", recorded, [])


def measured(data: Dataset, by: SplitName) -> dict[str, Any]:
    """Return the nDCG on the test of the settings in use and of those chosen, and their paired difference."""
    parts = split(data) if by == "time" else split_at_random(data.ratings, data.catalogue)
    in_use = tuned_settings(by)
    tasks = validation_tasks(data, TuneConfig(split=by))
    grid = choose_rank_and_penalty(tasks, in_use, k=K, budget=TrainConfig.model_fields["grid_seconds"].default)
    before, after = (evaluated(parts, settings) for settings in (in_use, grid.settings))
    error = compare_ndcg(after.per_user["ndcg"], before.per_user["ndcg"]).difference  # below 0: the chosen are better
    return {
        "data": data.name,
        "split": by,
        "ratings": len(data.ratings),
        "users": len(after.task.users),
        "grid": grid.as_json(),
        "in_use": before.metric("ndcg")._asdict(),
        "chosen": after.metric("ndcg")._asdict(),
        "difference": Interval(0 - error.estimate, 0 - error.high, 0 - error.low)._asdict(),
    }


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def evaluated(parts: Split, settings: ModelSettings) -> Evaluation:
    """Fit the served kind of EASE on everything but the test, and measure it there."""
    task = make_task(parts.before_test, parts.test, parts.catalogue)
    recipe = recipes(settings, task.before, task.catalogue)[FULL]
    lists = lists_for(recipe.fit(task.before.matrix()), task, k=K, weigh=recipe.weigh)
    return measure(lists, task, k=K)


if __name__ == "__main__":
    sys.exit(main())
