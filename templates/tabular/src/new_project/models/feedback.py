"""What feedback teaches: rows that were asked for, with what came true of them."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from new_project.config import FOLDS
from new_project.data.columns import Record, key_of
from new_project.data.load import Split
from new_project.data.row import record_in
from new_project.models.predictor import Predictor
from portfolio_shared.operations.lessons import Lesson


def asked(lesson: Lesson) -> Record:
    """Return the row that a lesson is about."""
    return record_in(json.loads(lesson.prediction.request)["items"][lesson.item])


def taught(split: Split, learned: Sequence[Lesson]) -> Split:
    """Return the split with what was learned in its training part; rows of the test part are left out."""
    known = set(split.test.keys)
    new = [(key, lesson) for lesson in learned if (key := key_of(asked(lesson))) not in known]
    records = [*split.train.records, *(asked(lesson) for _, lesson in new)]
    target = np.concatenate([split.train.target, [lesson.truth.value for _, lesson in new]])
    keys = [*split.train.keys, *(key for key, _ in new)]
    train = replace(
        split.train, records=records, target=target, keys=keys, dates=[*split.train.dates, *[""] * len(new)]
    )
    folds = np.array([int(key[:8], 16) % FOLDS for key, _ in new], dtype=np.int64)
    return replace(split, train=train, validation=np.concatenate([split.validation, folds]))


def losses(predictor: Predictor, lessons: Sequence[Lesson]) -> list[float]:
    """Return the absolute error of a model on each lesson."""
    predicted = predictor.values([asked(lesson) for lesson in lessons])[0]
    return [abs(value - lesson.truth.value) for value, lesson in zip(predicted.tolist(), lessons, strict=True)]
