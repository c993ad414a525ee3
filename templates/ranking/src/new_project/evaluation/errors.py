"""Whom the model fails: quality by length of the history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """Return nDCG and hit rate of the users with the shortest, middle and longest histories, about a third each."""
    ndcg, hits = evaluation.per_user["ndcg"], evaluation.per_user["hit_rate"]
    return [
        Group("items in the history", name, len(rows), float(ndcg[rows].mean()), float(hits[rows].mean()))
        for name, rows in by_length(evaluation).items()
    ]


def by_length(evaluation: Evaluation) -> dict[str, NDArray[np.int64]]:
    """Return the places of the users whose histories are of about one length, by the first and the last length."""
    lengths = np.array([len(history) for history in evaluation.task.histories])
    edges = np.quantile(lengths, np.arange(1, PARTS) / PARTS)  # users of one length are in one part
    part = np.searchsorted(edges, lengths, side="right")
    places = (np.flatnonzero(part == number) for number in range(PARTS))
    return {f"{lengths[rows].min()} to {lengths[rows].max()}": rows for rows in places if len(rows)}
