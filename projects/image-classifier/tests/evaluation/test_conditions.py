"""Thirds of the pictures by a property, and pictures that are changed on purpose."""

import numpy as np
import pytest
from PIL import Image

from image_classifier.evaluation import conditions
from image_classifier.evaluation.conditions import CHANGES, by_third, changed
from image_classifier.evaluation.evaluate import predictions_of


def test_thirds_hold_every_picture_once_in_order(trained) -> None:
    photos = trained.split.test
    right = np.arange(len(photos)) % 2 == 0
    thirds = by_third(photos, {"one": right, "all": np.ones(len(photos), dtype=bool)})
    assert [third.name for third in thirds[:3]] == ["dark", "middle", "bright"]
    for by in {third.by for third in thirds}:
        rows = [third for third in thirds if third.by == by]
        assert sum(third.pictures for third in rows) == len(photos)
        assert rows[0].highest <= rows[1].lowest
        assert rows[1].highest <= rows[2].lowest
        hits = sum(third.accuracy["one"].estimate * third.pictures for third in rows)
        assert hits == pytest.approx(right.sum())
        assert {third.accuracy["all"].estimate for third in rows} == {1.0}
    assert all(third.accuracy["one"].low < third.accuracy["one"].estimate for third in thirds)


def test_a_picture_that_is_not_changed_is_answered_as_ever(trained, monkeypatch) -> None:
    monkeypatch.setattr(conditions, "CHANGES", {name: CHANGES[name] for name in ("as it is", "a third as bright")})
    photos, evaluation = trained.split.test[:10], trained.evaluation
    same, dark = changed(photos, evaluation.labels[:10], {"model": trained.predictor})
    named = [prediction.label_set[0] for prediction in predictions_of(trained.predictor, photos)]
    assert same.accuracy["model"] == (np.array(named) == evaluation.labels[:10]).mean()
    assert (same.name, dark.name) == ("as it is", "a third as bright")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("as it is", (200, 160, 0)),
        ("without color", (154, 154, 154)),
        ("hues turned: yellow is blue", (0, 40, 200)),
        ("a third as bright", (66, 53, 0)),
        ("blurred by 4 pixels", (200, 160, 0)),
    ],
)
def test_what_a_change_makes_of_a_color(name, expected) -> None:
    picture = CHANGES[name](Image.new("RGB", (80, 96), (200, 160, 0)))
    assert picture.size == (80, 96)
    np.testing.assert_allclose(picture.getpixel((40, 40)), expected, atol=3)


def test_what_a_change_makes_of_a_shape() -> None:
    picture = Image.new("RGB", (100, 200), "black")
    picture.putpixel((0, 0), (255, 255, 255))
    assert CHANGES["upside down"](picture).getpixel((0, 199)) == (255, 255, 255)
    assert CHANGES["64 pixels wide"](picture).size == (32, 64)
    assert CHANGES["JPEG of quality 10"](picture).size == picture.size
