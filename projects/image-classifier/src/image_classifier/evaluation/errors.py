"""Where the served model errs: by true class."""

from dataclasses import dataclass

import numpy as np

from image_classifier.evaluation.evaluate import Evaluation
from portfolio_shared.evaluation.classification import confusion_matrix, precision_scores, recall_scores


@dataclass(frozen=True)
class Group:
    """The test pictures of one class.

    Attributes
    ----------
    by
        What the pictures are grouped by.
    name
        Of the class.
    confusion
        How many of its pictures were given each label, in the order of the labels.
    precision
        Share of the pictures given this label that are of this class; None if none was given it.
    recall
        Share of the pictures of this class that were given its label.
    """

    by: str
    name: str
    confusion: tuple[int, ...]
    precision: float | None
    recall: float

    @property
    def pictures(self) -> int:
        """How many test pictures are of this class."""
        return sum(self.confusion)


def by_group(evaluation: Evaluation) -> list[Group]:
    """Return precision, recall and confusion of each class, in the order of the labels."""
    counts = confusion_matrix(evaluation.labels, evaluation.probabilities)
    return [
        Group("class", name, tuple(row.tolist()), None if np.isnan(precision) else float(precision), float(recall))
        for name, row, precision, recall in zip(
            evaluation.predictor.labels, counts, precision_scores(counts), recall_scores(counts), strict=True
        )
    ]
