"""Thresholds that hold what they say, on numbers whose answer is known."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from image_classifier.calibrate import AMBIGUOUS, UNFAMILIAR, calibrate, fit_novelty
from portfolio_shared.evaluation.classification import expected_calibration_error, softmax

CLASSES = 3


@pytest.fixture(scope="module")
def answers():
    """Labels, and logits that are twice as sure as they should be."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (1000, CLASSES))
    labels = np.array([rng.choice(CLASSES, p=row) for row in softmax(logits)])
    return labels, 2 * logits


def clusters(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features around three places, four directions wide, one narrow, and correlated."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    mixing = np.random.default_rng(9).normal(size=(5, 5))
    centres = np.random.default_rng(8).normal(0, 20, (CLASSES, 5))
    noise = rng.normal(size=(n, 5)) * [1, 1, 1, 1, 1e-4]
    return (centres[labels] + noise @ mixing).astype(np.float32), labels


def test_label_sets_hold_the_truth_in_the_share_that_was_asked_for(answers):
    labels, logits = answers
    found = softmax(logits / 2)
    for coverage in (0.8, 0.95):
        told = calibrate(labels, found, logits, coverage=coverage)
        held = (found[np.arange(len(labels)), labels] >= told.least_probability).mean()
        assert coverage <= held <= coverage + 0.005


def test_as_many_answers_are_ambiguous_as_the_rule_says(answers):
    labels, logits = answers
    found = softmax(logits / 2)
    told = calibrate(labels, found, logits, coverage=0.9)
    assert (found.max(axis=1) < told.least_confidence).mean() == pytest.approx(AMBIGUOUS, abs=0.001)


def test_the_error_before_is_without_a_temperature_and_after_of_what_is_served(answers):
    labels, logits = answers
    told = calibrate(labels, softmax(logits / 2), logits, coverage=0.9)
    assert told.error_before == expected_calibration_error(labels, softmax(logits))
    assert told.error_after == expected_calibration_error(labels, softmax(logits / 2))
    assert told.error_after < 0.04
    assert told.error_before > 0.08


def test_too_few_pictures_for_the_coverage_are_refused(answers):
    labels, logits = (values[:18] for values in answers)
    with pytest.raises(ValueError, match="at least 19 are needed"):
        calibrate(labels, softmax(logits), logits, coverage=0.95)


def test_the_threshold_is_exceeded_by_the_stated_share_of_held_out_pictures():
    features, _ = clusters(0, 600)
    held_out, _ = clusters(1, 1000)
    fresh, _ = clusters(2, 5000)
    novelty = fit_novelty(features, held_out)
    assert (novelty.score(held_out) > 1).mean() == pytest.approx(UNFAMILIAR, abs=0.001)
    assert (novelty.score(fresh) > 1).mean() == pytest.approx(UNFAMILIAR, abs=0.01)


def test_what_lies_elsewhere_is_unfamiliar():
    features, _ = clusters(0, 600)
    novelty = fit_novelty(features, clusters(1, 300)[0])
    rng = np.random.default_rng(5)
    assert (novelty.score(rng.normal(0, 100, (200, 5))) > 1).mean() > 0.9
    # Between two classes is elsewhere too: the distance is to the nearest picture, not to the middle of all.
    middle = features.mean(axis=0, keepdims=True)
    assert novelty.score(middle)[0] > 1


def test_the_distance_is_that_to_the_nearest_training_picture():
    """By SciPy; with few features every direction is kept, so distances are those of the features."""
    features, _ = clusters(0, 300)
    fresh = np.random.default_rng(3).normal(0, 20, (50, 5)).astype(np.float32)
    expected = cdist(fresh, features).min(axis=1)
    np.testing.assert_allclose(fit_novelty(features, features[:50]).distance(fresh), expected, rtol=1e-3)


def test_of_many_pictures_so_many_are_kept_and_the_seed_draws_them(monkeypatch):
    monkeypatch.setattr("image_classifier.calibrate.N_KNOWN", 40)
    monkeypatch.setattr("image_classifier.calibrate.N_DIRECTIONS", 2)
    features, _ = clusters(0, 300)
    once, again, other = (fit_novelty(features, features[:50], seed=seed) for seed in (0, 0, 1))
    assert once.known.shape == (40, 2)
    np.testing.assert_array_equal(once.known, again.known)
    assert not np.array_equal(once.known, other.known)


def test_the_unit_of_the_features_does_not_matter():
    features, _ = clusters(0, 300)
    held_out, _ = clusters(1, 100)
    plain = fit_novelty(features, held_out).score(held_out)
    np.testing.assert_allclose(fit_novelty(100 * features, 100 * held_out).score(100 * held_out), plain, rtol=1e-3)
