"""Of which feedback the look of recent pictures comes: the newest of each client."""

import json

from image_classifier.config import MODEL_NAME
from image_classifier.serving.observe import CLIENTS, LEAST, Truth, newest_of_each, recent_looks
from portfolio_shared.operations.lessons import Lesson, Lessons
from portfolio_shared.operations.store import LoggedPrediction


def lesson(client: str, label: str | None = "a", *, brightness: float = 0.5, side: int = 96) -> Lesson:
    pictures = [{"error": "empty"}, {"brightness": brightness, "sharpness": 100.0, "side": side}]
    row = LoggedPrediction("1", 0.0, MODEL_NAME, "1", "/", "", 2, 1.0, json.dumps({"pictures": pictures}), "")
    return Lesson(row, 1, Truth(label=label), client, 0.0)


def test_the_newest_picture_of_each_client_teaches_and_the_others_are_counted() -> None:
    one = [lesson("one", brightness=0.01 * i) for i in range(50)]
    many = [lesson(f"client {i}") for i in range(CLIENTS + 5)]
    given = Lessons((*one[:20], *many, *one[20:], lesson("none", None)), (), {"learned": 156, "doubted": 2})
    kept = newest_of_each(given)
    assert kept.learned == (*many[6:], one[-1])
    assert kept.counts == {"learned": CLIENTS, "of no label, or newer ones are there": 56, "doubted": 2}


def test_how_pictures_look_is_told_of_those_that_were_seen_in_the_size_of_the_last_one() -> None:
    alike = [lesson(f"client {i}", brightness=0.7) for i in range(LEAST)]
    smaller = lesson("smaller", side=64, brightness=0.0)
    recent = recent_looks([smaller, *alike])
    assert recent is not None
    assert (list(recent.brightness), set(recent.sharpness), recent.side) == ([0.7] * LEAST, {100.0}, 96)
    assert recent_looks([*alike, smaller]) is recent_looks(alike[1:]) is None
