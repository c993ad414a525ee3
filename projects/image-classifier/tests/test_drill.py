"""The pictures' part of the drill: what is sent was never learned from, and gets darker and noisier."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from drill_image_classifier import MOST, photographs, requests, truth
from drill_scenario import Call
from image_classifier.data.images import prepare
from image_classifier.data.looks import brightness, sharpness
from image_classifier.data.photos import TRUSTED
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.serving.observe import Truth


def looks(calls: list[Call]) -> np.ndarray:
    files = [call.body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0] for call in calls]
    pixels = [prepare(data, Preprocessing(224, 224), limits=TRUSTED) for data in files]
    return np.median([(brightness(each), sharpness(each)) for each in pixels], axis=0)


@pytest.fixture(scope="module")
def steps() -> list[list[Call]]:
    return [list(requests(Path(), 120, drifted, seed)) for drifted, seed in ((False, 1), (True, 2), (True, 3))]


@pytest.mark.long
def test_after_the_change_photographs_are_darker_and_noisier_than_darkness_alone_makes_them(steps):
    (bright, sharp), (dark, noisy) = looks(steps[0]), looks(steps[1])
    assert dark < bright / 2
    assert noisy > 2 * sharp * (dark / bright) ** 2


def test_each_person_has_one_photograph_and_its_label_and_sends_one_to_four_of_it(steps):
    labels = {label for _, label in photographs()}
    assert len(photographs()) == 150
    for calls in steps:
        sent = Counter(call.subject for call in calls)
        assert set(sent.values()) <= set(range(1, MOST + 1))
        assert len(sent) >= 40
        said = {(call.subject, Truth.model_validate(truth(call, {}, 0)).label) for call in calls}
        assert len(said) == len(sent)
        assert {label for _, label in said} == labels


def test_no_request_is_sent_twice_and_the_people_of_each_step_are_its_own(steps):
    bodies = [call.body for calls in steps for call in calls]
    assert len(set(bodies)) == len(bodies)
    subjects = [{call.subject for call in calls} for calls in steps]
    assert not subjects[0] & subjects[1] | subjects[1] & subjects[2]
    assert [call.body for call in requests(Path(), 120, False, 1)] == [call.body for call in steps[0]]
