"""Thresholds that hold what they say, on numbers that are made by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from image_classifier.models import calibrate as calibrate_module
from image_classifier.models.calibrate import AMBIGUOUS, ENOUGH, UNFAMILIAR, calibrate, fit_novelty
from portfolio_shared.evaluation.classification import expected_calibration_error, softmax

CLASSES = 3


@pytest.fixture(scope="module")
def outputs():
    """Labels, and logits that are twice as sure as they should be."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (1000, CLASSES))
    labels = np.array([rng.choice(CLASSES, p=row) for row in softmax(logits)])
    return labels, 2 * logits


def clusters(seed: int, n: int) -> np.ndarray:
    """Draw features around three places; of eight directions two are wide."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(8, 8))
    centers = np.random.default_rng(8).normal(0, 20, (3, 8))
    noise = rng.normal(size=(n, 8)) * [3, 3, 1, 1, 1, 1, 1, 1]
    return (centers[np.arange(n) % 3] + noise @ mixing).astype(np.float32)


def fitted(features, held_out, *, frozen=False, **options):
    kinds, named = np.arange(len(features)) % 3, np.arange(len(held_out)) % 3
    return fit_novelty(features, kinds, held_out, named, n_classes=3, frozen=frozen, **options)


def scores(novelty, rows):
    return novelty.score(rows, np.arange(len(rows)) % 3)


def test_label_sets_hold_the_truth_in_the_share_that_was_asked_for(outputs):
    labels, logits = outputs
    probabilities = softmax(logits / 2)
    for coverage in (0.8, 0.95):
        thresholds = calibrate(labels, probabilities, logits, coverage=coverage)
        held = (probabilities[np.arange(len(labels)), labels] >= thresholds.least_probability).mean()
        assert coverage <= held <= coverage + 0.005


def test_as_many_answers_are_ambiguous_as_the_rule_says(outputs):
    labels, logits = outputs
    probabilities = softmax(logits / 2)
    thresholds = calibrate(labels, probabilities, logits, coverage=0.9)
    assert (probabilities.max(axis=1) < thresholds.least_confidence).mean() == pytest.approx(AMBIGUOUS, abs=0.001)


def test_the_error_before_is_without_a_temperature_and_after_of_what_is_served(outputs):
    labels, logits = outputs
    thresholds = calibrate(labels, softmax(logits / 2), logits, coverage=0.9)
    assert thresholds.error_before == expected_calibration_error(labels, softmax(logits))
    assert thresholds.error_after == expected_calibration_error(labels, softmax(logits / 2))
    assert thresholds.error_after < 0.04
    assert thresholds.error_before > 0.08


def test_the_threshold_is_exceeded_by_the_stated_share_of_held_out_pictures():
    held_out, fresh = clusters(1, 1000), clusters(2, 5000)
    novelty = fitted(clusters(0, 600), held_out)
    assert (scores(novelty, held_out) > 1).mean() == pytest.approx(UNFAMILIAR, abs=0.002)
    assert (scores(novelty, fresh) > 1).mean() == pytest.approx(UNFAMILIAR, abs=0.01)


def test_what_lies_elsewhere_is_unfamiliar():
    features = clusters(0, 600)
    novelty = fitted(features, clusters(1, 300))
    assert (scores(novelty, np.random.default_rng(5).normal(0, 100, (200, 8))) > 1).mean() > 0.9
    # Between the classes is elsewhere too, though it is the middle of all pictures.
    assert scores(novelty, features.mean(axis=0, keepdims=True))[0] > 1


def test_the_distance_is_to_the_nearest_training_picture():
    """By SciPy: with fewer features than directions nothing is lost, so it is that of the features themselves."""
    features, fresh = clusters(0, 200), clusters(3, 50)
    expected = cdist(fresh, features).min(axis=1) / np.sqrt(np.linalg.norm(fresh, axis=1))
    np.testing.assert_allclose(fitted(features, fresh).distance(fresh), expected, rtol=1e-3)


def test_only_the_directions_of_most_variance_are_looked_at(monkeypatch):
    monkeypatch.setattr(calibrate_module, "N_DIRECTIONS", 3)
    features = clusters(0, 600)
    novelty = fitted(features, clusters(1, 100))
    _, vectors = np.linalg.eigh(np.cov(features.T))
    overlap = np.linalg.svd(vectors[:, -3:].T @ novelty.directions, compute_uv=False)
    np.testing.assert_allclose(overlap, 1, atol=1e-3)  # the same three, in whatever order and sign


def test_of_many_pictures_some_are_kept_by_the_seed(monkeypatch):
    monkeypatch.setattr(calibrate_module, "N_TRAINING", 50)
    features, held_out = clusters(0, 600), clusters(1, 100)
    first, again, other = (fitted(features, held_out, seed=seed) for seed in (0, 0, 1))
    assert len(first.training) == 50
    np.testing.assert_array_equal(first.training, again.training)
    assert not np.array_equal(first.training, other.training)
    # Of all, not of the first class alone: the folder's order must not decide.
    nearest = first.training[:, None] - (features @ first.directions)[None]
    assert set(np.abs(nearest).sum(axis=2).argmin(axis=1) % 3) == {0, 1, 2}


def test_where_few_are_held_out_training_pictures_are_too_if_the_network_has_not_seen_them():
    training, few, test = clusters(0, 600), clusters(1, 21), clusters(2, 3000)
    off = [
        [abs((scores(fitted(training, few[i::7], frozen=frozen), test) > 1).mean() - UNFAMILIAR) for i in range(7)]
        for frozen in (False, True)
    ]
    assert max(off[1]) < 0.02 < max(off[0])
    enough = clusters(1, ENOUGH)
    assert fitted(training, enough, frozen=True).threshold == fitted(training, enough).threshold


def test_a_photograph_and_its_copy_are_held_out_together():
    """Else each copy would have its original among what it is compared with, and everything else looked unfamiliar."""
    features, held_out = clusters(1, 90), clusters(2, 30)
    plain = fitted(features, held_out, frozen=True)
    numbers = np.tile(np.arange(90), 2)
    twice = fitted(np.tile(features, (2, 1)), held_out, frozen=True, groups=numbers)
    assert twice.threshold == pytest.approx(plain.threshold, rel=0.1)
    assert fitted(np.tile(features, (2, 1)), held_out, frozen=True).threshold < 0.9 * plain.threshold
