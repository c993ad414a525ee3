"""Whom the model fails: accuracy by label, and of the answers that it is sure of."""

from dataclasses import dataclass

import numpy as np

from new_project.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class Group:
    """How good the answers are for `rows` pictures of the test."""

    by: str
    name: str
    rows: int
    accuracy: float
    unsure: float


def by_group(evaluation: Evaluation) -> list[Group]:
    """Return accuracy and share of unsure answers of each label, and of pictures that are sure and unsure."""
    truth, unsure = evaluation.part.numbers(evaluation.labels), evaluation.per_picture["unsure"] == 1
    parts = {("label", label): truth == number for number, label in enumerate(evaluation.labels)}
    parts |= {("answer", "sure"): ~unsure, ("answer", "unsure"): unsure}
    right = evaluation.per_picture["accuracy"]
    return [
        Group(by, name, int(rows.sum()), float(right[rows].mean()), float(np.mean(unsure[rows])))
        for (by, name), rows in parts.items()
        if rows.any()
    ]
