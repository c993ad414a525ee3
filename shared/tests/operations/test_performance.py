import json

import numpy as np
import pytest

from portfolio_shared.bundle import MetricValue
from portfolio_shared.operations.performance import MIN_CLUSTERS, chance_of_worse, effective_number, performance
from portfolio_shared.operations.store import Feedback, LoggedPrediction

METRICS = {"error": MetricValue(estimate=1.0, low=0.9, high=1.1)}


def told(name, truth, *, subject="", version="1"):
    """A prediction of 0 and what came true of it."""
    row = LoggedPrediction(name, 1.0, "toy", version, "/v1/toys", subject, 1, 1.0, "[{}]", "[0.0]")
    said = truth if isinstance(truth, str) else json.dumps({"weight": truth})
    return row, Feedback(name, 0, 2.0, "", said)


def shown(watch, feedback, *, alpha=0.01):
    return performance(watch, feedback, METRICS, version="1", alpha=alpha)


def test_a_mean_has_its_interval_and_stands_beside_the_test(toy):
    found = shown(toy.watch, [told(str(i), 1 + i % 2) for i in range(40)])
    error, weight = found.measures
    assert (found.rows, error.rows, error.clusters) == (40, 40, 40)
    assert error.mean.estimate == 1.5
    assert 1.3 < error.mean.low < 1.5 < error.mean.high < 1.7
    assert error.test == METRICS["error"]
    assert error.level == 0.01  # of two measures one is compared
    assert error.p < 0.001
    assert error.alarm
    assert (weight.test, weight.p, weight.alarm) == (None, None, False)


def test_what_one_person_says_counts_together(toy):
    """Forty truths of two people are two observations: nothing can be said."""
    found = shown(toy.watch, [told(str(i), 1 + i % 2, subject="me" if i % 2 else "you") for i in range(40)])
    error = found.measures[0]
    assert (error.rows, error.clusters, error.p, error.alarm) == (40, 2, None, False)
    assert (error.mean.low, error.mean.high) == (1.0, 2.0)


def test_nothing_is_said_of_a_mean_that_one_person_decides(toy):
    """Of 140 truths 100 are of one person: they say as much as two people."""
    found = shown(toy.watch, [told(str(i), 100 + i, subject="me" if i < 100 else "") for i in range(140)])
    error = found.measures[0]
    assert (error.rows, error.clusters, error.p) == (140, 41, None)
    assert error.effective == pytest.approx(140**2 / (100**2 + 40))


@pytest.mark.parametrize(("clusters", "compared"), [(1, False), (MIN_CLUSTERS - 1, False), (MIN_CLUSTERS, True)])
def test_a_few_truths_are_no_verdict(toy, clusters, *, compared):
    error = shown(toy.watch, [told(str(i), 100 + i) for i in range(clusters)]).measures[0]
    assert (error.p is not None) is compared
    assert (error.mean is None) is (clusters < 2)


@pytest.mark.parametrize(
    ("truth", "reason"),
    [("{", " json_invalid"), ('{"weight": "heavy"}', "weight float_parsing"), ("1e999", " model_type")],
)
def test_a_truth_that_cannot_be_read_is_counted(toy, truth, reason):
    found = shown(toy.watch, [told("a", 1.0), told("b", truth), told("c", 2.0), told("d", 1.0, version="2")])
    assert (found.rows, found.unreadable, found.others) == (3, 1, 1)
    assert found.reason == f"ValidationError {reason}"
    assert found.measures[0].mean.estimate == 1.5


def test_a_measure_that_is_no_number_is_unreadable(toy):
    row, said = told("a", 1.0)
    found = shown(toy.watch, [(row._replace(response="[Infinity]"), said), told("b", 1.0)])
    assert (found.unreadable, found.reason) == (1, "ValueError")


@pytest.mark.parametrize(("clusters", "largest", "first"), [(40, 1, 1), (40, 5, 5), (40, 1, 300), (200, 1, 30)])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_false_alarms_are_not_more_than_stated(alpha, clusters, largest, first):
    """Log-normal errors, a test split of 500 rows, windows of clusters, whose rows are alike, one of a size of its own.

    One that outweighs the others is not compared, as `performance` does not.
    """
    rng = np.random.default_rng(0)
    alarms, windows = 0, 2000
    for _ in range(windows):
        test = rng.lognormal(size=500)
        half = 1.96 * test.std() / np.sqrt(500)
        metric = MetricValue(estimate=test.mean(), low=test.mean() - half, high=test.mean() + half)
        counts = rng.integers(1, largest + 1, clusters).astype(float)
        counts[0] = first
        sums = rng.lognormal(size=clusters) * counts
        compared = effective_number(counts) >= MIN_CLUSTERS
        alarms += compared and chance_of_worse(sums, counts, metric, higher_is_better=False) <= alpha
    assert alarms / windows <= alpha + 2 * np.sqrt(alpha * (1 - alpha) / windows)


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_without_any_spread_a_difference_is_no_chance(higher_is_better):
    exact = MetricValue(estimate=1.0)
    ones = np.ones(30)
    assert chance_of_worse(2 * ones, ones, exact, higher_is_better=higher_is_better) == float(higher_is_better)
    assert chance_of_worse(ones, ones, exact, higher_is_better=higher_is_better) == 1.0
