"""Where the model fails: errors by class, by how sure it is, and by category."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from new_project.data.columns import schema
from new_project.evaluation.evaluate import Evaluation
from portfolio_shared.evaluation.classification import accuracy_score, log_loss_error

MOST_CODES = 12
SURE = ("below 0.6", "0.6 to 0.8", "0.8 to 0.95", "above 0.95")


@dataclass(frozen=True)
class Group:
    """How well the model does on some of the test rows."""

    by: str
    name: str
    rows: int
    log_loss: float
    accuracy: float
    set_coverage: float


def by_group(evaluation: Evaluation) -> list[Group]:
    """Break the errors down."""
    names, sure = np.array(schema().target.classes), evaluation.probabilities.max(axis=1)
    labels = {
        schema().target.label: names[evaluation.labels],
        "how sure it is": np.array(SURE)[np.searchsorted([0.6, 0.8, 0.95], sure, side="right")],
    }
    for column in schema().columns:
        if column.kind == "category":
            codes = np.array([str(record[column.name] or "not known") for record in evaluation.rows.records])
            if len(np.unique(codes)) <= MOST_CODES:
                labels[column.label] = codes
    return [
        _group(by, str(name), values == name, evaluation) for by, values in labels.items() for name in np.unique(values)
    ]


def _group(by: str, name: str, where: NDArray[np.bool_], evaluation: Evaluation) -> Group:
    truth, found = evaluation.labels[where], evaluation.probabilities[where]
    held = float(evaluation.in_set[where][np.arange(len(truth)), truth].mean())
    return Group(by, name, len(truth), log_loss_error(truth, found), accuracy_score(truth, found), held)
