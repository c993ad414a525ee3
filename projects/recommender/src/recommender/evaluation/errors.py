"""Whom the model fails: quality by length of history, by time since it, and by how rare the hidden films are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.evaluation.uncertainty import Interval, bootstrap_interval
from recommender.evaluation.evaluate import Evaluation
from recommender.evaluation.task import Floats, Task

HOUR, DAY = 3600.0, 24 * 3600.0
LENGTH = "films in the history"
RATED_BY = 5  # users before the test: films that fewer rated are rare


@dataclass(frozen=True)
class Group:
    """How good the lists are for a part of the users of the test; of a single one there is no interval."""

    by: str
    name: str
    users: int
    ndcg: Interval
    hit_rate: float


def by_group(evaluation: Evaluation) -> list[Group]:
    """Return nDCG and hit rate of each group of users; groups without users are left out."""
    return [
        group(evaluation, by, name, rows)
        for by, values, edges, names in _groupings(evaluation.task)
        for number, name in enumerate(names)
        if (rows := np.searchsorted(edges, values, side="right") == number).any()
    ]


def group(evaluation: Evaluation, by: str, name: str, rows: NDArray[np.bool_], *, seed: int = 0) -> Group:
    """Return how good the lists are for the users that `rows` marks, at least one."""
    ndcg, hits = (evaluation.per_user[metric][rows] for metric in ("ndcg", "hit_rate"))
    interval = bootstrap_interval(np.mean, ndcg, seed=seed) if len(ndcg) > 1 else Interval(*[float(ndcg[0])] * 3)
    return Group(by, name, len(ndcg), interval, float(hits.mean()))


def _groupings(task: Task) -> list[tuple[str, Floats, Sequence[float], Sequence[str]]]:
    """Return what users are grouped by: its name, its value for each user, the edges between groups, their names."""
    before, hidden, users = task.before, task.hidden, task.users
    last = before.times[before.offsets()[1:][users] - 1]
    first = hidden.times[hidden.offsets()[:-1][users]]
    common = before.item_counts()[hidden.items] >= RATED_BY
    n_common = np.bincount(hidden.users, weights=common, minlength=hidden.n_users)
    lengths, gaps = before.user_counts()[users].astype(np.float64), (first - last).astype(np.float64)
    share, of_rare = n_common[users] / hidden.user_counts()[users], f"that {RATED_BY} people had rated"
    times = ("under an hour", "under a day", "under 30 days", "30 days and more")
    shares = ("under half", "under 80 %", "under 95 %", "95 % and more")
    return [
        (LENGTH, lengths, (30, 60, 150), ("under 30", "30 to 59", "60 to 149", "150 and more")),
        ("from the last film to the test", gaps, (HOUR, DAY, 30 * DAY), times),
        (f"share of the hidden films {of_rare}", share, (0.5, 0.8, 0.95), shares),
    ]
