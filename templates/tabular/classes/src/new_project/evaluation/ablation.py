"""What each kind of column contributes: trees with more and more of them, inside the training part."""

from dataclasses import dataclass, replace

import numpy as np

from new_project.config import ModelSettings
from new_project.data.columns import schema
from new_project.data.load import Rows, Split
from new_project.models.fit import logits_of
from portfolio_shared.evaluation.classification import log_loss_error, softmax

KINDS = {"number": "numbers", "category": "categories", "date": "dates"}


@dataclass(frozen=True)
class Step:
    """One row of the table: the mean over folds of the log loss."""

    name: str
    log_loss: float


def ablate(split: Split, settings: ModelSettings, *, seed: int = 0) -> list[Step]:
    """Cross-validate the frequencies of the classes, and trees with the columns of one kind more each time."""
    steps = [Step("class frequencies", _error(split, settings, "frequencies", [], seed=seed))]
    used: list[str] = []
    for kind, plural in KINDS.items():
        names = [column.name for column in schema().columns if column.kind == kind]
        if names:
            name = f"+ {plural}" if used else f"trees on {plural}"
            used += names
            steps.append(Step(name, _error(split, settings, "trees", used, seed=seed)))
    return steps


def _error(split: Split, settings: ModelSettings, member: str, names: list[str], *, seed: int) -> float:
    """Return the error of a member to which only these columns are known."""
    errors = []
    for _, *parts in split.folds():
        inside, outside = (_only(rows, names) for rows in parts)
        found = softmax(logits_of(inside, outside.records, settings, member, seed=seed))
        errors.append(log_loss_error(outside.target.astype(np.int64), found))
    return float(np.mean(errors))


def _only(rows: Rows, names: list[str]) -> Rows:
    return replace(rows, records=[{name: record.get(name) for name in names} for record in rows.records])
