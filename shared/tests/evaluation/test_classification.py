"""Metrics of classification by hand and against scikit-learn; temperature and label sets by simulation."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn import metrics as reference

from portfolio_shared.evaluation.classification import (
    accuracy_score,
    confusion_matrix,
    expected_calibration_error,
    f1_macro_score,
    fit_temperature,
    label_set_threshold,
    log_loss_error,
    precision_scores,
    recall_scores,
    reliability,
    softmax,
)

# Named 0, 1, 0, 2, 2; right in the first, second and last row.
TRUE = [0, 1, 1, 0, 2]
PROBA = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.6, 0.4, 0.0], [0.25, 0.25, 0.5], [0.0, 0.1, 0.9]]
METRICS = [accuracy_score, log_loss_error, expected_calibration_error, f1_macro_score]
by_name = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def drawn(seed, *, n=300, n_classes=4, spread=2.0):
    """Draw logits, and labels that the softmax of half of them gives the right probabilities of."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (n, n_classes))
    shares = softmax(logits / 2)
    return np.array([rng.choice(n_classes, p=row) for row in shares]), logits


def test_answers_computed_by_hand():
    assert accuracy_score(TRUE, PROBA) == 3 / 5
    assert log_loss_error(TRUE, PROBA) == pytest.approx(-np.log([0.5, 0.8, 0.4, 0.25, 0.9]).mean())
    np.testing.assert_array_equal(confusion_matrix(TRUE, PROBA), [[1, 0, 1], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(precision_scores(confusion_matrix(TRUE, PROBA)), [1 / 2, 1, 1 / 2])
    np.testing.assert_allclose(recall_scores(confusion_matrix(TRUE, PROBA)), [1 / 2, 1 / 2, 1])
    assert f1_macro_score(TRUE, PROBA) == pytest.approx((2 / 4 + 2 / 3 + 2 / 3) / 3)


def test_calibration_error_by_hand():
    """Five bins: 0.5, 0.6 and 0.5 lie in the third, 0.8 in the fourth, 0.9 in the last; 0.6 and 0.8 are upper edges."""
    bins = reliability(TRUE, PROBA, 5)
    np.testing.assert_allclose(bins, [(1.6 / 3, 1 / 3, 3 / 5), (0.8, 1, 1 / 5), (0.9, 1, 1 / 5)])
    expected = 3 / 5 * (1.6 / 3 - 1 / 3) + 1 / 5 * 0.2 + 1 / 5 * 0.1
    assert expected_calibration_error(TRUE, PROBA, n_bins=5) == pytest.approx(expected)
    # In one bin over-confidence and its contrary cancel out.
    assert expected_calibration_error(TRUE, PROBA, n_bins=1) == pytest.approx(abs(3.3 / 5 - 3 / 5))


@by_name
def test_a_perfect_answer(metric):
    best = 1.0 if metric in (accuracy_score, f1_macro_score) else 0.0
    assert metric(TRUE, np.eye(3)[TRUE]) == best


@by_name
def test_answers_are_plain_floats(metric):
    assert type(metric(np.array(TRUE), np.array(PROBA, dtype=np.float32))) is float


def test_a_certain_mistake_costs_much_and_not_everything():
    assert log_loss_error([0], [[0.0, 1.0]]) == pytest.approx(-np.log(1e-15))


def test_a_label_that_is_never_given_or_never_true_has_no_share():
    counts = confusion_matrix([0, 0, 1], [[0.9, 0.0, 0.1], [0.1, 0.0, 0.9], [0.8, 0.0, 0.2]])
    np.testing.assert_array_equal(precision_scores(counts), [1 / 2, np.nan, 0])
    np.testing.assert_array_equal(recall_scores(counts), [1 / 2, 0, np.nan])


@pytest.mark.parametrize("seed", range(20))
def test_an_independent_implementation_agrees(seed):
    n_classes = 2 + seed % 5
    true, logits = drawn(seed, n=5 + 20 * seed, n_classes=n_classes)
    proba, labels = softmax(logits), list(range(n_classes))
    given = proba.argmax(axis=1)
    assert accuracy_score(true, proba) == pytest.approx(reference.accuracy_score(true, given))
    assert log_loss_error(true, proba) == pytest.approx(reference.log_loss(true, proba, labels=labels))
    assert f1_macro_score(true, proba) == pytest.approx(reference.f1_score(true, given, average="macro"))
    counts = confusion_matrix(true, proba)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(true, given, labels=labels))
    for ours, theirs in ((precision_scores, reference.precision_score), (recall_scores, reference.recall_score)):
        expected = theirs(true, given, labels=labels, average=None, zero_division=np.nan)
        np.testing.assert_allclose(ours(counts), expected)


@pytest.mark.parametrize("seed", range(5))
def test_bins_hold_every_row_once_and_confidence_lies_in_its_bin(seed):
    true, logits = drawn(seed)
    proba = softmax(logits)
    bins = reliability(true, proba, 10)
    confidence, accuracy, share = np.array(bins).T
    assert share.sum() == pytest.approx(1)
    assert (np.diff(np.ceil(confidence * 10)) >= 1).all()
    assert (confidence * share).sum() == pytest.approx(proba.max(axis=1).mean())
    assert (accuracy * share).sum() == pytest.approx(accuracy_score(true, proba))


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_an_independent_minimizer(seed):
    true, logits = drawn(seed)
    loss = minimize_scalar(
        lambda inverse: log_loss_error(true, softmax(logits * inverse)), bounds=(0.05, 20), method="bounded"
    )
    assert 1 / fit_temperature(true, logits) == pytest.approx(loss.x, rel=1e-4)


def test_the_temperature_that_labels_were_drawn_with_comes_back():
    true, logits = drawn(0, n=20_000)
    assert fit_temperature(true, logits) == pytest.approx(2, rel=0.05)
    before, after = (expected_calibration_error(true, softmax(logits / t)) for t in (1, fit_temperature(true, logits)))
    assert before > 0.1
    assert after < 0.02


def test_the_temperature_stays_within_bounds():
    separated = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature([0, 1], separated) == pytest.approx(0.05)  # the surer the better
    assert fit_temperature([1, 0], separated) == 20  # always wrong: the less sure the better


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_label_sets_hold_the_truth_as_often_as_they_say(coverage):
    """On fresh rows, whatever the probabilities are worth: these are too sure."""
    held = []
    for seed in range(200):
        true, logits = drawn(seed, n=159)
        proba = softmax(logits)
        threshold = label_set_threshold(true[:59], proba[:59], coverage=coverage)
        held.append((proba[np.arange(59, 159), true[59:]] >= threshold).mean())
    # The mean is between coverage and coverage + 1 / 60; 200 trials spread by half a point.
    assert coverage - 0.01 <= np.mean(held) <= coverage + 1 / 60 + 0.01


@pytest.mark.parametrize("least", [0.1, 0.3, 0.7, 1 / 3])
def test_the_row_that_sets_the_threshold_is_held(least):
    """Not lost to rounding: `1 - (1 - 0.3)` is more than 0.3."""
    proba = [[least, 1 - least]] * 3
    assert label_set_threshold([0, 0, 0], proba, coverage=0.75) == least


def test_too_few_rows_for_the_coverage_are_refused():
    with pytest.raises(ValueError, match="at least 19 are needed"):
        label_set_threshold([0] * 18, [[0.5, 0.5]] * 18, coverage=0.95)


@pytest.mark.parametrize(
    ("true", "proba", "message"),
    [
        ([], np.empty((0, 2)), "shapes"),
        ([0, 1], [[0.5, 0.5]], "shapes"),
        ([0], [0.5, 0.5], "shapes"),
        ([2], [[0.5, 0.5]], "from 0 to 1"),
        ([-1], [[0.5, 0.5]], "from 0 to 1"),
        ([0.0], [[0.5, 0.5]], "label numbers"),
        ([0], [[0.5, 0.6]], "sum to 1"),
        ([0], [[1.5, -0.5]], "at least 0"),
        ([0], [[np.nan, 1.0]], "finite"),
    ],
)
@by_name
def test_a_wrong_input_is_refused(metric, true, proba, message):
    with pytest.raises(ValueError, match=message):
        metric(true, proba)
