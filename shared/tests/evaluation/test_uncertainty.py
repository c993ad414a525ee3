"""Intervals: hand-computed ranks, coverage by simulation, and input that has no answer."""

import math

import numpy as np
import pytest
from scipy import stats

from portfolio_shared.evaluation.regression import mean_absolute_error
from portfolio_shared.evaluation.uncertainty import (
    Interval,
    better_by_more_than_chance,
    bootstrap_interval,
    paired_bootstrap,
)


def mean(values):
    return float(values.mean())


def test_the_interval_of_a_mean_is_close_to_that_of_student():
    sample = np.random.default_rng(1).normal(10, 2, 400)
    interval = bootstrap_interval(mean, sample, n_resamples=4000)
    low, high = stats.t.interval(0.95, 399, loc=sample.mean(), scale=stats.sem(sample))
    assert interval.estimate == sample.mean()
    assert interval.low == pytest.approx(low, abs=0.03)
    assert interval.high == pytest.approx(high, abs=0.03)


def test_the_interval_contains_the_truth_as_often_as_promised():
    rng = np.random.default_rng(2)
    hits = 0
    for seed in range(200):
        interval = bootstrap_interval(mean, rng.exponential(1.0, 100), n_resamples=200, seed=seed)
        hits += interval.low <= 1.0 <= interval.high
    # Percentile intervals of a skewed sample fall a little short; 200 trials spread by two to three points.
    assert 0.87 <= hits / 200 <= 1


def test_the_seed_decides_and_nothing_else():
    sample = np.random.default_rng(3).normal(size=30)
    np.random.seed(0)  # noqa: NPY002 - the global generator must not matter
    first = bootstrap_interval(mean, sample, seed=5)
    np.random.seed(1)  # noqa: NPY002
    assert bootstrap_interval(mean, sample, seed=5) == first
    assert bootstrap_interval(mean, sample, seed=6) != first


def test_rows_of_all_arrays_stay_together():
    x = np.arange(40.0)

    def broken_rows(a, b, c):
        return float((b != 2 * a).sum() + (c[:, 1] != a).sum())

    assert bootstrap_interval(broken_rows, x, 2 * x, np.stack([x, x], axis=1)) == Interval(0.0, 0.0, 0.0)


def test_ties_and_labels_are_fine():
    assert bootstrap_interval(mean, np.ones(10)) == Interval(1.0, 1.0, 1.0)
    labels = np.array(["cat", "dog"] * 10)
    interval = bootstrap_interval(lambda y: float((y == "cat").mean()), labels)
    assert interval.low < interval.estimate == 0.5 < interval.high


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([[1.0]], "at least 2 rows, not 1"),
        ([[]], "at least 2 rows, not 0"),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], r"different numbers of rows: \[2, 3\]"),
        ([[1.0, math.nan]], r"array 0 \(float64\) has values that are missing"),
        ([np.array([1.0, None])], r"array 0 \(object\)"),
    ],
)
def test_a_bootstrap_without_an_answer_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(lambda *a: float(np.mean(a[0])), *arrays)


def test_a_metric_that_is_not_finite_is_refused_by_name():
    def ratio(values):
        return math.inf if values.min() == values.max() else 1.0

    with pytest.raises(ValueError, match="ratio is inf on 3 rows"):
        bootstrap_interval(ratio, [1.0, 2.0, 3.0])


def predictions(n=400):
    rng = np.random.default_rng(4)
    y_true = rng.normal(100, 20, n)
    hard = rng.normal(0, 10, n)  # rows that both models find hard
    return y_true, y_true + hard + rng.normal(0, 1, n), y_true + 0.9 * hard + rng.normal(0, 1, n)


def test_a_pair_shows_what_two_separate_intervals_hide():
    y_true, champion, challenger = predictions()
    comparison = paired_bootstrap(mean_absolute_error, y_true, champion, challenger)
    separate = [bootstrap_interval(mean_absolute_error, y_true, pred) for pred in (champion, challenger)]
    assert comparison.difference.high < 0
    assert comparison.probability_better == 1.0
    assert comparison.n == 400
    assert separate[1].high > separate[0].low
    expected = mean_absolute_error(y_true, challenger) - mean_absolute_error(y_true, champion)
    assert comparison.difference.estimate == pytest.approx(expected)


def test_swapping_the_models_mirrors_the_comparison():
    y_true, champion, challenger = predictions(60)
    there = paired_bootstrap(mean_absolute_error, y_true, champion, challenger)
    back = paired_bootstrap(mean_absolute_error, y_true, challenger, champion)
    assert back.difference == pytest.approx((-there.difference.estimate, -there.difference.high, -there.difference.low))
    assert back.probability_better == pytest.approx(1 - there.probability_better)


def test_equal_models_are_a_tie():
    y_true, champion, _ = predictions(30)
    comparison = paired_bootstrap(mean_absolute_error, y_true, champion, champion)
    assert comparison.difference == Interval(0.0, 0.0, 0.0)
    assert comparison.probability_better == 0.5


@pytest.mark.long
def test_models_of_one_quality_are_rarely_distinguished():
    rng = np.random.default_rng(5)
    false_alarms = 0
    for seed in range(200):
        noise = rng.normal(size=(2, 80))
        comparison = paired_bootstrap(mean_absolute_error, np.zeros(80), *noise, n_resamples=200, seed=seed)
        false_alarms += comparison.difference.high < 0
    # 2.5 % on this side in theory; at most three standard errors more.
    assert false_alarms / 200 < 0.06


def test_only_a_difference_of_more_than_two_standard_errors_is_more_than_chance():
    rng = np.random.default_rng(0)
    champion = rng.random(100)
    noise = rng.normal(0, 0.1, 100)  # the standard error is 0.01
    noise -= noise.mean()
    assert not better_by_more_than_chance(champion + noise - 0.015, champion)
    assert better_by_more_than_chance(champion + noise - 0.025, champion)
    assert not better_by_more_than_chance(champion + noise + 0.025, champion)
    assert not better_by_more_than_chance(champion, champion)
