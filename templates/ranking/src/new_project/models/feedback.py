"""What feedback teaches, and how wrong a model would have been on it."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from new_project.config import K
from new_project.data.load import Events, Split
from new_project.models.predictor import Predictor
from portfolio_shared.evaluation.ranking import EMPTY, judge, ndcg_at_k
from portfolio_shared.operations.lessons import MOST, Lesson


def taught(split: Split, learned: Sequence[Lesson]) -> Split:
    """Return the parts with people of the prediction log as further users of the training part, the newest first.

    Items that the data do not have are left out, and people beyond the share of all events that feedback may be.
    """
    number, left = {item.id: place for place, item in enumerate(split.items)}, int(len(split.train) * MOST / (1 - MOST))
    people: list[list[int]] = []
    for lesson in reversed(learned):
        ids = dict.fromkeys([*_history(lesson), *lesson.truth.chosen])
        chosen = [number[id_] for id_ in ids if id_ in number]
        if (left := left - len(chosen)) < 0:
            break
        people.append(chosen)
    train, before_test = _with(split.train, people), _with(split.before_test, people)
    validation, test = (replace(part, n_users=train.n_users) for part in (split.validation, split.test))
    return replace(split, train=train, validation=validation, test=test, before_test=before_test)


def losses(predictor: Predictor, lessons: Sequence[Lesson]) -> list[float]:
    """Return 1 - nDCG of each lesson: of a list for its history, judged by what was chosen then; lower is better."""
    found = []
    for lesson in lessons:
        (prediction,) = predictor.predict([_history(lesson)])
        number = {id_: place for place, id_ in enumerate(dict.fromkeys(lesson.truth.chosen))}
        listed = [
            number.get(each.item.id, len(number) + place) for place, each in enumerate(prediction.recommendations)
        ]
        listed += [EMPTY] * (K - len(listed))
        judged = judge([listed], [0] * len(number), list(number.values()))
        found.append(1 - float(ndcg_at_k(judged, K)[0]))
    return found


def _history(lesson: Lesson) -> list[str]:
    history: list[str] = json.loads(lesson.prediction.request)["history"]
    return history


def _with(events: Events, people: Sequence[Sequence[int]]) -> Events:
    owners = np.repeat(np.arange(len(people)) + events.n_users, [len(each) for each in people])
    items = np.array([item for each in people for item in each], dtype=np.int64)
    users, chosen = np.concatenate([events.users, owners]), np.concatenate([events.items, items])
    return Events(users, chosen, events.n_users + len(people), events.n_items)
