"""The metrics of the test split: by hand on answers that are known, and the same pictures as the service sees."""

import numpy as np
import pytest
from PIL import Image

from image_classifier.data.images import ImageLimits, Preprocessing, prepare
from image_classifier.evaluation.evaluate import METRIC_LABELS, answers_of, evaluate, measure
from image_classifier.evaluation.out_of_distribution import Stranger
from image_classifier.models.predictor import Answer

LIMITS = ImageLimits()


def answer(probabilities: list[float], label_set: tuple[int, ...], unsure: str | None = None) -> Answer:
    return Answer(np.array(probabilities), label_set, 0.0, unsure, None)


class Scripted:
    """Says what it was told to, in order; remembers how many pictures it was shown at once."""

    preprocessing = Preprocessing(8, 8)

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = list(answers)
        self.at_once: list[int] = []

    def predict(self, pictures, *, heat=False):
        assert all(picture.shape == (8, 8, 3) for picture in pictures)
        self.at_once.append(len(pictures))
        return [self.answers.pop(0) for _ in pictures]


def stranger(kind: str) -> Stranger:
    return Stranger(kind, Image.new("RGB", (9, 9)))


@pytest.fixture
def photos(sample):
    """Four pictures: of the classes 0, 1, 0 and 1."""
    of = [[photo for photo in sample.photos if photo.label == label] for label in (0, 1)]
    return [of[0][0], of[1][0], of[0][1], of[1][1]]


SAID = [
    answer([0.9, 0.1, 0.0], (0,)),  # right
    answer([0.6, 0.4, 0.0], (0, 1)),  # wrong, and its set holds the truth
    answer([0.2, 0.7, 0.1], (1,), "ambiguous"),  # wrong, unsure
    answer([0.1, 0.8, 0.1], (1,), "unfamiliar"),  # right, unsure
]
STRANGERS = [stranger("noise"), stranger("noise"), stranger("text"), stranger("text")]
OF_STRANGERS = [
    answer([0.9, 0.1, 0.0], (0,), "unfamiliar"),
    answer([0.9, 0.1, 0.0], (0,), "ambiguous"),
    answer([0.9, 0.1, 0.0], (0,), "unfamiliar"),
    answer([0.9, 0.1, 0.0], (0,)),
]
OF_SAMPLES = [answer([0.5, 0.4, 0.1], (0, 1), "unfamiliar"), answer([0.1, 0.1, 0.8], (2,))]


def test_metrics_by_hand(photos):
    found = evaluate(Scripted(SAID + OF_STRANGERS + OF_SAMPLES), photos, STRANGERS)
    estimates = {name: interval.estimate for name, interval in found.metrics.items()}
    assert estimates == pytest.approx(
        {
            "accuracy": 2 / 4,
            "f1_macro": 1 / 2,
            "log_loss": -np.log([0.9, 0.4, 0.2, 0.8]).mean(),
            "calibration_error": (0.1 + 0.6 + 0.7 + 0.2) / 4,
            "set_coverage": 3 / 4,
            "set_size": 5 / 4,
            "unsure": 2 / 4,
            "unsure_strangers": 3 / 4,
            "accuracy_if_sure": 1 / 2,
        }
    )
    assert found.strangers == {"noise": 1.0, "text": 0.5}
    assert found.sample_photographs == dict(zip(("china.jpg", "flower.jpg"), OF_SAMPLES, strict=True))
    np.testing.assert_array_equal(found.confusion, [[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(found.labels, [0, 1, 0, 1])
    assert all(interval.low <= interval.estimate <= interval.high for interval in found.metrics.values())


def test_every_metric_has_a_name_for_people(photos):
    assert set(evaluate(Scripted(SAID + OF_STRANGERS + OF_SAMPLES), photos, STRANGERS).metrics) == set(METRIC_LABELS)


def test_where_no_answer_is_sure_there_is_no_accuracy_of_the_sure_ones(photos):
    """A model that is unsure of everything is told of, instead of ending a training in an error."""
    unsure = [answer([0.9, 0.1, 0.0], (0,), "ambiguous")] * 4
    found = evaluate(Scripted(unsure + OF_STRANGERS + OF_SAMPLES), photos, STRANGERS)
    assert found.metrics["unsure"].estimate == 1
    assert "accuracy_if_sure" not in found.metrics


def test_few_pictures_are_held_at_a_time(sample):
    photos = sample.photos[:70]
    predictor = Scripted([SAID[0]] * 70)
    assert len(answers_of(predictor, photos)) == 70
    assert predictor.at_once == [32, 32, 6]


def test_what_is_measured_is_what_the_service_would_answer(predictor, trained):
    """From the files' bytes and with the limits of the service, one by one."""
    for photo, measured in zip(trained.splits.test, trained.evaluation.answers, strict=True):
        picture = prepare(photo.path.read_bytes(), predictor.preprocessing, limits=LIMITS)
        (alone,) = predictor.predict([picture])
        np.testing.assert_allclose(alone.probabilities, measured.probabilities, atol=1e-6)
        assert (alone.label_set, alone.unsure) == (measured.label_set, measured.unsure)


def test_any_probabilities_are_measured_alike(trained):
    found = measure(trained.evaluation.labels, trained.evaluation.probabilities)
    assert {name: trained.evaluation.metrics[name] for name in found} == found
    assert set(found) == {"accuracy", "f1_macro", "log_loss", "calibration_error"}
