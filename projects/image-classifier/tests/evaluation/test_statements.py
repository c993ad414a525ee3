"""Verdicts and comparisons that prose names follow from what was recorded; the record is the committed one."""

import json
from pathlib import Path
from statistics import NormalDist

import pytest

from image_classifier.evaluation.statements import _chance, statements
from image_classifier.report import tables, trainings

RECORDED = Path(__file__).parents[2] / "docs" / "report.json"


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def test_a_training_joins_those_by_the_same_settings_and_repeats_none(recorded):
    (first,) = trainings({}, recorded)
    assert first["test"]["accuracy"] == recorded["test"]["accuracy"]["estimate"]
    other = first | {part: {"accuracy": 0.5, "log_loss": 1.0} for part in ("validation", "test")}
    before = recorded | {"trainings": [first, other]}
    assert trainings(before, recorded) == [other, first]
    assert trainings(before | {"settings": {}}, recorded) == trainings({}, recorded) == [first]
    assert "| 2 (published) |" in tables(recorded | {"trainings": [other, first]})["trainings"]
    named = statements(recorded | {"trainings": [other, first]})
    assert named["repeats_apart_test"] == f"{100 * abs(first['test']['accuracy'] - 0.5):.1f}"


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 0.3, "Yes"), (-0.1, 0.3, "No"), (-0.3, -0.1, "No: fine-tuning is worse")]
)
def test_a_gain_is_beyond_chance_where_its_interval_says_so(recorded, low, high, said):
    gained = {"accuracy": {"estimate": 0.1, "low": low, "high": high}, "mended": 2, "broken": 1}
    studied = recorded | {"studies": recorded["studies"] | {"gain": gained}}
    assert statements(studied)["gain_verdict"] == said


def test_validation_and_test_are_as_far_apart_as_chance_sets_them_so_often():
    """Of 90 and 80 right of a hundred each, the share of both is 0.85 and the difference 1.98 standard errors."""
    rows = {"validation": 100, "test": 100}
    found = _chance({"accuracy": 0.9}, {"accuracy": {"estimate": 0.8}}, rows)
    assert found == pytest.approx(2 * (1 - NormalDist().cdf(0.1 / (0.85 * 0.15 * 0.02) ** 0.5)))
    assert _chance({"accuracy": 0.9}, {"accuracy": {"estimate": 0.9}}, rows) == 1


def test_a_dahlia_and_its_painting_have_numbers_of_their_own(recorded):
    near = {"dahlia": 0.1, "painting of a dahlia": 0.7}
    models = {name: each | {"near": near} for name, each in recorded["studies"]["declined"].items()}
    named = statements(recorded | {"studies": recorded["studies"] | {"declined": models}})
    assert (named["declined_dahlia"], named["declined_painting"]) == ("10 %", "70 %")
