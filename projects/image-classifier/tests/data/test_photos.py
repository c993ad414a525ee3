"""What every step takes from photographs: statistics of the inputs, and examples for people."""

import io

import numpy as np
import pytest
from PIL import Image

from image_classifier.data.photos import examples_of, input_statistics, pixels_of, spread
from image_classifier.models.predictor import Predictor


def test_statistics_of_the_inputs_are_of_what_was_learned_from(trained):
    statistics = input_statistics(trained.split.train, trained.data.labels, trained.predictor.preprocessing)
    labels = [photo.label for photo in trained.split.train]
    shares = {name: labels.count(number) / len(labels) for number, name in enumerate(trained.data.labels)}
    assert statistics["classes"] == pytest.approx(shares, abs=1e-4)
    # The parts are in the order of their names: a few from the front would be of one class.
    every = [pixels_of(photo, trained.predictor.preprocessing).mean() for photo in trained.split.train]
    assert statistics["brightness"]["q50"] == pytest.approx(np.median(every), abs=np.std(every) / 4)
    few = spread(trained.split.train, 20)
    assert {photo.label for photo in few} == set(labels)
    assert len({photo.key for photo in few}) == 20
    assert spread(few, 30) == few


def test_the_examples_are_of_the_test_and_do_not_give_the_answer_away(trained, bundle):
    examples = examples_of(trained.split.test)
    assert list(examples) == [f"picture-{number}" for number in range(1, 6)]
    assert Predictor.load(bundle).examples == examples
    assert all(Image.open(io.BytesIO(data)).format == "JPEG" for data in examples.values())
