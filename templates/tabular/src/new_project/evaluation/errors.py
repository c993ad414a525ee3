"""Where the model fails: errors by fifth of the target, by band of the prediction, and by category."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from new_project.data.columns import schema
from new_project.evaluation.evaluate import Evaluation

FIFTHS = ("1 (lowest)", "2", "3", "4", "5 (highest)")
MOST_CODES = 12


@dataclass(frozen=True)
class Group:
    """How well the model does on some of the test rows; a mean error above 0 is too high."""

    by: str
    name: str
    rows: int
    mean_absolute_error: float
    mean_error: float
    coverage: float


def by_group(evaluation: Evaluation) -> list[Group]:
    """Break the errors down."""
    rows, target = evaluation.rows, evaluation.rows.target
    fifth = np.searchsorted(np.quantile(target, [0.2, 0.4, 0.6, 0.8]), target, side="right")
    labels = {f"fifth of {schema().target.label}": np.array(FIFTHS)[fifth]}
    labels["band of the prediction"] = np.array([f"{band + 1}" for band in evaluation.bands])
    for column in schema().columns:
        if column.kind == "category":
            codes = np.array([str(record[column.name] or "not known") for record in rows.records])
            if len(np.unique(codes)) <= MOST_CODES:
                labels[column.label] = codes
    return [
        _group(by, str(name), values == name, evaluation) for by, values in labels.items() for name in np.unique(values)
    ]


def _group(by: str, name: str, where: NDArray[np.bool_], evaluation: Evaluation) -> Group:
    target, predicted = evaluation.rows.target[where], evaluation.predicted[where]
    inside = (evaluation.low[where] <= target) & (target <= evaluation.high[where])
    error = predicted - target
    return Group(by, name, int(where.sum()), float(np.abs(error).mean()), float(error.mean()), float(inside.mean()))
