"""What feedback teaches, and how wrong a model would have been on it: of pictures that nobody has kept."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from new_project.data.load import Split
from new_project.models.predictor import Predictor
from new_project.models.trunk import Floats
from portfolio_shared.operations.lessons import Lesson


def taught(split: Split, learned: Sequence[Lesson]) -> Split:
    """Return the parts with what feedback names as further rows of the training part: features, and no picture."""
    rows, named = tuple(map(features, learned)), tuple(lesson.truth.label for lesson in learned)
    if unknown := set(named) - set(split.labels):
        raise ValueError(f"feedback names {', '.join(sorted(unknown))}, of which the data have no picture")
    return replace(split, train=replace(split.train, taught=rows, named=named))


def losses(predictor: Predictor, lessons: Sequence[Lesson]) -> list[float]:
    """Return the Brier score of each lesson (Brier 1950), from 0 to 2; lower is better."""
    found = []
    for lesson in lessons:
        (probabilities,) = predictor.probabilities(features(lesson)[None])
        right = np.array([label == lesson.truth.label for label in predictor.labels])
        found.append(float(((probabilities - right) ** 2).sum()))
    return found


def features(lesson: Lesson) -> Floats:
    """Return the features that the log has of a picture, shape (n_features,)."""
    kept = base64.b64decode(json.loads(lesson.prediction.request)["features"])
    return np.frombuffer(kept, dtype=np.float16).astype(np.float32)
