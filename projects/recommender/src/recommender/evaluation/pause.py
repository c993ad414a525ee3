"""A test that begins at least a day after the last film of a history: no sitting goes on into it."""

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.config import ModelSettings
from recommender.data.catalogue import Catalogue
from recommender.data.ratings import Ratings
from recommender.data.splits import split_by_pause
from recommender.evaluation.evaluate import accuracy
from recommender.evaluation.task import Floats, lists_for, make_task
from recommender.models.fit import ITEMS, POPULARITY, recipes

SERVED, EVEN = "served model", "served model, all films of a history alike"


@dataclass(frozen=True)
class AfterPause:
    """The nDCG of each model after a pause, and how much the served one is above each of the others, paired."""

    users: int
    excluded: dict[str, int]
    ndcg: dict[str, Interval]
    difference: dict[str, Interval]


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def measure_after_pause(
    ratings: Ratings, catalogue: Catalogue, settings: ModelSettings, chosen: str, *, k: int = 10, seed: int = 0
) -> AfterPause:
    """Fit the chosen model, popularity and item neighbors on everything before the pauses, and measure them after."""
    parts = split_by_pause(ratings, catalogue)
    task = make_task(parts.before_test, parts.test, catalogue, seed=seed)
    tried, X = recipes(settings, task.before, task.catalogue, seed=seed), task.before.matrix()
    served, ndcg = tried[chosen], dict[str, Floats]()
    model = served.fit(X)
    for name, fitted, weigh in (
        (SERVED, model, served.weigh),
        (EVEN, model, replace(served.weigh, half_life_share=0.0)),
        (ITEMS, tried[ITEMS].fit(X), tried[ITEMS].weigh),
        (POPULARITY, tried[POPULARITY].fit(X), tried[POPULARITY].weigh),
    ):
        ndcg[name] = accuracy(lists_for(fitted, task, k=k, weigh=weigh), task, k=k)["ndcg"]
    return AfterPause(
        users=len(task.users),
        excluded=parts.excluded,
        ndcg={name: bootstrap_interval(np.mean, values, seed=seed) for name, values in ndcg.items()},
        difference={
            name: bootstrap_interval(np.mean, ndcg[SERVED] - values, seed=seed)
            for name, values in ndcg.items()
            if name != SERVED
        },
    )
