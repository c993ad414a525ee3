"""Metrics of classification by hand and against scikit-learn; temperature and label sets by simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
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

Arrays = tuple[NDArray[np.int64], NDArray[np.float64]]

# Named 0, 1, 0, 2, 2; right in the first, second and last row.
TRUE = [0, 1, 1, 0, 2]
FOUND = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.6, 0.4, 0.0], [0.25, 0.25, 0.5], [0.0, 0.1, 0.9]]
METRICS = [accuracy_score, log_loss_error, expected_calibration_error, f1_macro_score]
by_name = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)


def drawn(seed: int, *, n: int = 300, n_classes: int = 4, spread: float = 2.0) -> Arrays:
    """Draw logits, and labels that the softmax of half of them gives the right probabilities of."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (n, n_classes))
    shares = softmax(logits / 2)
    return np.array([rng.choice(n_classes, p=row) for row in shares]), logits


# By hand


def test_answers_computed_by_hand() -> None:
    assert accuracy_score(TRUE, FOUND) == 3 / 5
    assert log_loss_error(TRUE, FOUND) == pytest.approx(-np.log([0.5, 0.8, 0.4, 0.25, 0.9]).mean())
    np.testing.assert_array_equal(confusion_matrix(TRUE, FOUND), [[1, 0, 1], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(precision_scores(confusion_matrix(TRUE, FOUND)), [1 / 2, 1, 1 / 2])
    np.testing.assert_allclose(recall_scores(confusion_matrix(TRUE, FOUND)), [1 / 2, 1 / 2, 1])
    assert f1_macro_score(TRUE, FOUND) == pytest.approx((2 / 4 + 2 / 3 + 2 / 3) / 3)


def test_calibration_error_by_hand() -> None:
    """Five bins: 0.5, 0.6 and 0.5 lie in the third, 0.8 in the fourth, 0.9 in the last; 0.6 and 0.8 are upper edges."""
    bins = reliability(TRUE, FOUND, 5)
    np.testing.assert_allclose(bins, [(1.6 / 3, 1 / 3, 3 / 5), (0.8, 1, 1 / 5), (0.9, 1, 1 / 5)])
    expected = 3 / 5 * (1.6 / 3 - 1 / 3) + 1 / 5 * 0.2 + 1 / 5 * 0.1
    assert expected_calibration_error(TRUE, FOUND, n_bins=5) == pytest.approx(expected)
    # In one bin over-confidence and its contrary cancel out.
    assert expected_calibration_error(TRUE, FOUND, n_bins=1) == pytest.approx(abs(3.3 / 5 - 3 / 5))


@by_name
def test_a_perfect_answer(metric: Callable[..., float]) -> None:
    best = 1.0 if metric in (accuracy_score, f1_macro_score) else 0.0
    assert metric(TRUE, np.eye(3)[TRUE]) == best


@by_name
def test_answers_are_plain_floats(metric: Callable[..., float]) -> None:
    assert type(metric(np.array(TRUE), np.array(FOUND, dtype=np.float32))) is float


def test_of_equal_probabilities_the_first_label_is_named() -> None:
    assert accuracy_score([0, 1], [[0.5, 0.5], [0.5, 0.5]]) == 0.5


def test_a_certain_mistake_costs_much_and_not_everything() -> None:
    assert log_loss_error([0], [[0.0, 1.0]]) == pytest.approx(-np.log(1e-15))


def test_a_label_that_is_never_given_or_never_true_has_no_share() -> None:
    counts = confusion_matrix([0, 0, 1], [[0.9, 0.0, 0.1], [0.1, 0.0, 0.9], [0.8, 0.0, 0.2]])
    np.testing.assert_array_equal(precision_scores(counts), [1 / 2, np.nan, 0])
    np.testing.assert_array_equal(recall_scores(counts), [1 / 2, 0, np.nan])


def test_a_label_that_is_out_of_the_game_does_not_lower_f1() -> None:
    with_third = np.pad(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), ((0, 0), (0, 1)))
    assert f1_macro_score([0, 1, 1], with_third) == pytest.approx(2 / 3)


# Against others


@pytest.mark.parametrize("seed", range(20))
def test_an_independent_implementation_agrees(seed: int) -> None:
    n_classes = 2 + seed % 5
    true, logits = drawn(seed, n=5 + 20 * seed, n_classes=n_classes)
    found, labels = softmax(logits), list(range(n_classes))
    named = found.argmax(axis=1)
    assert accuracy_score(true, found) == pytest.approx(reference.accuracy_score(true, named))
    assert log_loss_error(true, found) == pytest.approx(reference.log_loss(true, found, labels=labels))
    assert f1_macro_score(true, found) == pytest.approx(reference.f1_score(true, named, average="macro"))
    counts = confusion_matrix(true, found)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(true, named, labels=labels))
    for ours, theirs in ((precision_scores, reference.precision_score), (recall_scores, reference.recall_score)):
        expected = theirs(true, named, labels=labels, average=None, zero_division=np.nan)
        np.testing.assert_allclose(ours(counts), expected)


@pytest.mark.parametrize("seed", range(5))
def test_bins_hold_every_row_once_and_confidence_lies_in_its_bin(seed: int) -> None:
    true, logits = drawn(seed)
    found = softmax(logits)
    bins = reliability(true, found, 10)
    sure, right, share = np.array(bins).T
    assert share.sum() == pytest.approx(1)
    assert (np.diff(np.ceil(sure * 10)) >= 1).all()
    assert (sure * share).sum() == pytest.approx(found.max(axis=1).mean())
    assert (right * share).sum() == pytest.approx(accuracy_score(true, found))


# Temperature


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_an_independent_minimiser(seed: int) -> None:
    true, logits = drawn(seed)
    loss = minimize_scalar(
        lambda inverse: log_loss_error(true, softmax(logits * inverse)), bounds=(0.05, 20), method="bounded"
    )
    assert 1 / fit_temperature(true, logits) == pytest.approx(loss.x, rel=1e-4)


def test_the_temperature_that_labels_were_drawn_with_is_found() -> None:
    true, logits = drawn(0, n=20_000)
    assert fit_temperature(true, logits) == pytest.approx(2, rel=0.05)
    before, after = (expected_calibration_error(true, softmax(logits / t)) for t in (1, fit_temperature(true, logits)))
    assert before > 0.1
    assert after < 0.02


def test_the_temperature_stays_within_bounds() -> None:
    separated = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature([0, 1], separated) == pytest.approx(0.05)  # the surer the better
    assert fit_temperature([1, 0], separated) == 20  # always wrong: the less sure the better


def test_logits_of_any_size_are_taken() -> None:
    np.testing.assert_array_equal(softmax([[1000.0, 0.0], [-1000.0, -1000.0]]), [[1, 0], [0.5, 0.5]])


# Label sets


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_label_sets_hold_the_truth_as_often_as_they_say(coverage: float) -> None:
    """On fresh rows, whatever the probabilities are worth: these are too sure."""
    held = []
    for seed in range(200):
        true, logits = drawn(seed, n=159)
        found = softmax(logits)
        threshold = label_set_threshold(true[:59], found[:59], coverage=coverage)
        held.append((found[np.arange(59, 159), true[59:]] >= threshold).mean())
    # The mean is between coverage and coverage + 1 / 60; 200 trials spread by half a point.
    assert coverage - 0.01 <= np.mean(held) <= coverage + 1 / 60 + 0.01


@pytest.mark.parametrize("least", [0.1, 0.3, 0.7, 1 / 3])
def test_the_row_that_sets_the_threshold_is_held(least: float) -> None:
    """Not lost to rounding: `1 - (1 - 0.3)` is more than 0.3."""
    found = [[least, 1 - least]] * 3
    assert label_set_threshold([0, 0, 0], found, coverage=0.75) == least


def test_too_few_rows_for_the_coverage_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 19 are needed"):
        label_set_threshold([0] * 18, [[0.5, 0.5]] * 18, coverage=0.95)


# Input without an answer


@pytest.mark.parametrize(
    ("true", "found", "says"),
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
def test_a_wrong_input_is_refused(metric: Callable[..., float], true: object, found: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        metric(true, found)


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="n_bins must be at least 1, not 0"):
        expected_calibration_error(TRUE, FOUND, n_bins=0)
