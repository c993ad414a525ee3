"""What feedback teaches: rows that were asked for, with what came true of them."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from new_project.config import FOLDS
from new_project.data.columns import Record, key_of, schema
from new_project.data.load import Split
from new_project.data.row import record_in
from new_project.models.predictor import Predictor
from portfolio_shared.operations.lessons import Lesson

Floats = NDArray[np.float64]


def asked(lesson: Lesson) -> Record:
    """Return the row that a lesson is about."""
    return record_in(json.loads(lesson.prediction.request)["items"][lesson.item])


def taught(split: Split, learned: Sequence[Lesson]) -> Split:
    """Return the split with what was learned in its training part; rows of the test part are left out.

    A second copy of a training row is in its fold. With a split in time, the others are in the last fold.
    """
    known = set(map(key_of, split.test.records))
    places = dict(zip(map(key_of, split.train.records), split.validation.tolist(), strict=True))
    new = [(key, lesson) for lesson in learned if (key := key_of(asked(lesson))) not in known]
    records = [*split.train.records, *(asked(lesson) for _, lesson in new)]
    target = np.concatenate([split.train.target, truths([lesson for _, lesson in new])])
    keys = [*split.train.keys, *(key for key, _ in new)]
    train = replace(
        split.train, records=records, target=target, keys=keys, dates=[*split.train.dates, *[""] * len(new)]
    )
    by_chance = {key: FOLDS - 1 if split.in_time else int(key[:8], 16) % FOLDS for key, _ in new}
    folds = np.array([places.get(key, by_chance[key]) for key, _ in new], dtype=np.int64)
    return replace(split, train=train, validation=np.concatenate([split.validation, folds]))


def truths(lessons: Sequence[Lesson]) -> Floats:
    """Return what came true, as the numbers that are learned, shape (n,)."""
    return np.array([schema().target.number(lesson.truth.value) for lesson in lessons], dtype=np.float64)


def losses(predictor: Predictor, lessons: Sequence[Lesson]) -> list[float]:
    """Return the loss of a model on each lesson."""
    found: list[float] = predictor.losses([asked(lesson) for lesson in lessons], truths(lessons)).tolist()
    return found
