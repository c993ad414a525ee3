"""The served model: better than colors on the sample, sure of what it knows, and not of noise."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from new_project.config import COVERAGE, SIDE
from new_project.data.images import read
from new_project.models.fit import inputs_of
from new_project.models.predictor import Predictor
from portfolio_shared.evaluation.classification import fit_temperature


def test_the_probe_is_better_than_colors_and_those_than_nothing(trained: Any) -> None:
    assert list(trained.candidates) == ["probe on a frozen network", "colors", "most frequent label"]
    assert trained.evaluation.metrics["accuracy"].low > trained.baselines["colors"]["accuracy"].estimate
    assert trained.evaluation.metrics["set_coverage"].high >= COVERAGE


def test_baselines_are_calibrated_as_the_model_is(trained: Any) -> None:
    part = trained.split.validation
    for candidate in trained.candidates.values():
        logits = candidate.model.head.logits(inputs_of(candidate.model.kind, part))
        assert candidate.model.temperature == fit_temperature(part.numbers(trained.split.labels), logits)


def test_probabilities_sum_to_one_and_the_set_begins_with_the_first_label(trained: Any) -> None:
    for prediction in trained.evaluation.predictions:
        assert sum(prediction.probabilities) == pytest.approx(1)
        assert prediction.label_set[0] == int(np.argmax(prediction.probabilities))


def test_noise_and_drawings_are_unfamiliar_and_training_pictures_are_not(trained: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    drawing = np.asarray(Image.radial_gradient("L").resize((SIDE, SIDE)).convert("RGB"))
    learned = [read(picture.path) for picture in trained.split.train.pictures[:5]]

    assert [each.unsure for each in trained.predictor.predict([noise, drawing])] == ["unfamiliar"] * 2
    assert all(each.distance < 1e-6 for each in trained.predictor.predict(learned))


def test_what_was_saved_answers_the_same(trained: Any, bundle: Any) -> None:
    pictures = [read(picture.path) for picture in trained.split.test.pictures[:3]]
    loaded = Predictor.load(bundle)

    assert loaded.predict(pictures) == trained.predictor.predict(pictures)
    assert loaded.examples == trained.predictor.examples
