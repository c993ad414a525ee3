"""What feedback names becomes part of what is learned, and judges models."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from new_project.data.images import read
from new_project.models.feedback import losses, taught
from new_project.models.fit import PROBE, fit_model
from new_project.serving.observe import picture_of


def lessons(trained: Any, label: str | None = None) -> list[Any]:
    """Return what the log has of the test's pictures, with their labels or another one."""
    pairs = zip(trained.split.test.pictures, trained.evaluation.predictions, strict=True)
    return [
        SimpleNamespace(
            prediction=SimpleNamespace(request=json.dumps(picture_of(b"", prediction))),
            truth=SimpleNamespace(label=label or picture.label),
        )
        for picture, prediction in pairs
    ]


def test_features_of_the_log_teach_the_next_model(trained: Any) -> None:
    grown = taught(trained.split, lessons(trained))
    first = fit_model(PROBE, grown, trained.settings).probabilities(grown.test)

    assert len(grown.train) == len(trained.split.train) + len(trained.split.test)
    assert grown.test is trained.split.test
    assert (first.argmax(axis=1) == grown.test.numbers(grown.labels)).all()  # it has seen them
    with pytest.raises(ValueError, match="feedback names cactus, of which the data have no picture"):
        taught(trained.split, lessons(trained, "cactus"))


def test_a_false_label_is_a_larger_loss(trained: Any) -> None:
    picture = trained.split.test.pictures[0]
    wrong = next(label for label in trained.split.labels if label != picture.label)
    (right, *_), (false, *_) = (losses(trained.predictor, lessons(trained, label)) for label in (picture.label, wrong))

    assert 0 <= right < false <= 2


def test_what_the_log_keeps_is_no_picture(trained: Any) -> None:
    picture = trained.split.test.pictures[0]
    (prediction,) = trained.predictor.predict([read(picture.path)])
    kept = picture_of(picture.path.read_bytes(), prediction)

    assert set(kept) == {"sha256", "features"}
    assert len(json.dumps(kept)) < 4000
