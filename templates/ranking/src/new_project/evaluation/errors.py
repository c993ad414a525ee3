"""Whom the model fails: quality by length of the history, and by how common the hidden items are."""

from dataclasses import dataclass

import numpy as np

from new_project.evaluation.evaluate import Evaluation

PARTS = 3


@dataclass(frozen=True)
class Group:
    """How good the lists are for `rows` users of the test."""

    by: str
    name: str
    rows: int
    ndcg: float
    hit_rate: float


def by_group(evaluation: Evaluation) -> list[Group]:
    """Return nDCG and hit rate of the users with the shortest, middle and longest histories, a third each."""
    lengths = np.array([len(history) for history in evaluation.task.histories])
    ndcg, hits = evaluation.per_user["ndcg"], evaluation.per_user["hit_rate"]
    return [
        Group(
            "items in the history",
            f"{lengths[rows].min()} to {lengths[rows].max()}",
            len(rows),
            float(ndcg[rows].mean()),
            float(hits[rows].mean()),
        )
        for rows in np.array_split(np.argsort(lengths, kind="stable"), PARTS)
        if len(rows)
    ]
