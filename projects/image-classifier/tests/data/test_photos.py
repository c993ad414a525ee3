"""What every step takes from photographs: a few of them, and examples for people."""

import io

from PIL import Image

from image_classifier.data.photos import examples_of, spread
from image_classifier.models.predictor import Predictor


def test_a_few_from_all_over_are_of_every_class(trained):
    """The parts are in the order of their names: a few from the front would be of one class."""
    few = spread(trained.split.train, 20)
    assert {photo.label for photo in few} == {photo.label for photo in trained.split.train}
    assert len({photo.key for photo in few}) == 20
    assert spread(few, 30) == few


def test_the_examples_are_of_the_test_and_do_not_give_the_answer_away(trained, bundle):
    examples = examples_of(trained.split.test)
    assert list(examples) == [f"picture-{number}" for number in range(1, 6)]
    assert Predictor.load(bundle).examples == examples
    assert all(Image.open(io.BytesIO(data)).format == "JPEG" for data in examples.values())
