"""The metrics of the test split: by hand on scripted predictions, and on the same pictures as the service sees."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from image_classifier.data.load import Split, split
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation import evaluate as module
from image_classifier.evaluation.evaluate import (
    METRIC_LABELS,
    compare_with_champion,
    coverage_of_redraws,
    evaluate,
    evaluate_bundle,
    predictions_of,
)
from image_classifier.evaluation.out_of_distribution import draw_pictures
from image_classifier.models.predictor import Prediction, Predictor
from portfolio_shared.bundle import read_manifest
from portfolio_shared.data.splits import split_digest
from portfolio_shared.evaluation.classification import log_loss_error


def prediction(probabilities: list[float], label_set: tuple[int, ...], unsure: str | None = None) -> Prediction:
    return Prediction(np.array(probabilities), label_set, 0.0, unsure, None)


class Scripted:
    """Gives its predictions in order; remembers how many pictures came at once."""

    preprocessing = Preprocessing(8, 8)
    labels = ("cat", "dog", "owl")

    def __init__(self, predictions: list[Prediction]) -> None:
        self.predictions = list(predictions)
        self.at_once: list[int] = []

    def predict(self, inputs, *, heat=False):
        assert all(picture.shape == (8, 8, 3) for picture in inputs)
        self.at_once.append(len(inputs))
        return [self.predictions.pop(0) for _ in inputs]


@pytest.fixture
def photos(sample):
    """Four test pictures: of the classes 0, 1, 0 and 1."""
    of = [[photo for photo in sample.photos if photo.label == label] for label in (0, 1)]
    return Split((), (), (of[0][0], of[1][0], of[0][1], of[1][1]), Scripted.labels)


PREDICTIONS = [
    prediction([0.9, 0.1, 0.0], (0,)),  # right
    prediction([0.6, 0.4, 0.0], (0, 1)),  # wrong, and its set holds the truth
    prediction([0.2, 0.7, 0.1], (1,), "ambiguous"),  # wrong, unsure
    prediction([0.1, 0.8, 0.1], (1,), "unfamiliar"),  # right, unsure
]
OTHERS = {kind: [Image.new("RGB", (9, 9))] * 2 for kind in ("noise", "text")}
OF_OTHERS = [
    prediction([0.9, 0.1, 0.0], (0,), "unfamiliar"),
    prediction([0.9, 0.1, 0.0], (0,), "ambiguous"),
    prediction([0.9, 0.1, 0.0], (0,), "unfamiliar"),
    prediction([0.9, 0.1, 0.0], (0,)),
]
OF_SAMPLES = [prediction([0.5, 0.4, 0.1], (0, 1), "unfamiliar"), prediction([0.1, 0.1, 0.8], (2,))]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "draw_pictures", lambda: OTHERS)


@pytest.mark.usefixtures("few")
def test_metrics_by_hand(photos):
    evaluation = evaluate(Scripted(PREDICTIONS + OF_OTHERS + OF_SAMPLES), photos)
    assert set(evaluation.metrics) == set(METRIC_LABELS)
    estimates = {name: interval.estimate for name, interval in evaluation.metrics.items()}
    assert estimates == pytest.approx(
        {
            "accuracy": 2 / 4,
            "f1_macro": 1 / 2,
            "log_loss": -np.log([0.9, 0.4, 0.2, 0.8]).mean(),
            "calibration_error": (0.1 + 0.6 + 0.7 + 0.2) / 4,
            "set_coverage": 3 / 4,
            "set_size": 5 / 4,
            "unsure": 2 / 4,
            "unsure_out_of_distribution": 3 / 4,
            "accuracy_if_sure": 1 / 2,
        }
    )
    assert evaluation.out_of_distribution == {"noise": 1.0, "text": 0.5}
    assert evaluation.sample_photographs == dict(zip(("china.jpg", "flower.jpg"), OF_SAMPLES, strict=True))
    np.testing.assert_array_equal(evaluation.labels, [0, 1, 0, 1])
    assert all(interval.low <= interval.estimate <= interval.high for interval in evaluation.metrics.values())


@pytest.mark.usefixtures("few")
def test_where_no_answer_is_sure_there_is_no_accuracy_of_the_sure_ones(photos):
    """A model that is unsure of everything is measured, instead of ending a training in an error."""
    unsure = [prediction([0.9, 0.1, 0.0], (0,), "ambiguous")] * 4
    evaluation = evaluate(Scripted(unsure + OF_OTHERS + OF_SAMPLES), photos)
    assert evaluation.metrics["unsure"].estimate == 1
    assert "accuracy_if_sure" not in evaluation.metrics


def test_few_pictures_are_held_at_a_time(sample):
    photos = sample.photos[:70]
    predictor = Scripted([PREDICTIONS[0]] * 70)
    assert len(predictions_of(predictor, photos)) == 70
    assert predictor.at_once == [32, 32, 6]


def test_chance_decides_who_calibrates():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.7] * 3, 1000)
    labels = np.array([rng.choice(3, p=row) for row in probabilities])
    how = {"n_calibration": len(labels) // 2, "coverage": 0.9, "n_redraws": 300}
    covered = coverage_of_redraws(labels, probabilities, **how)
    assert covered.low < covered.estimate < covered.high
    assert covered.estimate == pytest.approx(0.9, abs=0.02)
    assert covered == coverage_of_redraws(labels, probabilities, **how)
    # Sets with every label hold the truth.
    flat = np.full_like(probabilities, 1 / probabilities.shape[1])
    assert coverage_of_redraws(labels, flat, **how) == (1, 1, 1)


def test_redrawn_coverage_is_computed_once_from_validation_and_test(trained, monkeypatch):
    evaluation = replace(trained.evaluation)
    first = evaluation.redrawn_coverage
    assert first.low <= trained.predictor.coverage <= first.high
    monkeypatch.setattr(module, "coverage_of_redraws", lambda *_, **__: pytest.fail("computed again"))
    assert evaluation.redrawn_coverage is first


def test_a_challenger_is_compared_with_the_champion_on_its_own_pictures(trained, bundle):
    """With itself there is no difference; against a model that names everything wrongly there is."""
    champion = Predictor.load(bundle)
    same = compare_with_champion(trained.evaluation, champion)
    assert tuple(same.difference) == (0, 0, 0)
    assert same.n == len(trained.split.test)
    wrong = tuple(
        replace(prediction, probabilities=np.roll(prediction.probabilities, 1))
        for prediction in trained.evaluation.predictions
    )
    worse = replace(trained.evaluation, predictions=wrong)
    compared = compare_with_champion(worse, champion)
    assert compared.difference.low > 0  # above 0: the champion is better
    assert compared.difference.estimate == pytest.approx(
        log_loss_error(worse.labels, worse.probabilities) - trained.evaluation.metrics["log_loss"].estimate
    )


@pytest.mark.long
def test_other_pictures_than_those_of_the_bundles_test_split_are_reported(bundle, monkeypatch, capsys):
    monkeypatch.setattr(module, "draw_pictures", lambda: draw_pictures(each=1))
    evaluate_bundle(bundle, "sample", Console(width=200))
    printed = capsys.readouterr().out
    assert "These are not the pictures that the bundle was tested on: it may have learned" in printed.replace("\n", " ")
    assert "accuracy: " in printed


def test_a_bundle_is_evaluated_on_the_test_split_of_its_own_seed(bundle, trained, train_config, monkeypatch, capsys):
    """Its training dealt the pictures with the seed that its manifest records."""
    own = split(trained.data, split_seed=7)
    assert own != trained.split
    manifest = read_manifest(bundle)
    data = manifest.data.model_copy(update={"test_split_sha256": split_digest([photo.key for photo in own.test])})
    older = manifest.model_copy(update={"config": manifest.config | {"seed": 7}, "data": data})
    evaluated = []

    def evaluate_nothing(predictor: Predictor, parts: Split) -> SimpleNamespace:
        evaluated.append(parts)
        return SimpleNamespace(metrics={})

    monkeypatch.setattr(module, "read_manifest", lambda *_, **__: older)
    monkeypatch.setattr(module, "evaluate", evaluate_nothing)
    evaluate_bundle(bundle, train_config.data, Console(width=200))
    assert evaluated == [own]
    assert "These are not the pictures" not in capsys.readouterr().out


def test_a_bundle_of_other_classes_is_not_measured(bundle, pets_config):
    with pytest.raises(ValueError, match="the pictures are of cat, dog; the model names daisy, dandelion"):
        evaluate_bundle(bundle, pets_config.data, Console(quiet=True))
