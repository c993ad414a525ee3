"""Conformal intervals hold what they promise, and refuse what has no answer."""

import math

import numpy as np
import pytest

from portfolio_shared.evaluation.conformal import conformal_quantile, interval_coverage, mean_interval_width


@pytest.mark.parametrize(
    ("n", "coverage", "rank"),
    [
        (9, 0.9, 9),  # (9 + 1) * 0.9 is exactly 9
        (10, 0.9, 10),
        (19, 0.95, 19),
        (100, 0.9, 91),
        (99, 0.07, 7),  # 100 * 0.07 is 7.000000000000001 in floats
        (99, 0.29, 29),  # 100 * 0.29 is 28.999999999999996
        (3, 0.5, 2),
        (1, 0.5, 1),
    ],
)
def test_the_conformal_quantile_is_an_order_statistic(n, coverage, rank):
    scores = np.random.default_rng(6).permutation(np.arange(1.0, n + 1))
    assert conformal_quantile(scores, coverage=coverage) == rank


@pytest.mark.parametrize(
    ("n", "coverage", "needed"), [(8, 0.9, 9), (18, 0.95, 19), (98, 0.99, 99), (1, 0.51, 2), (1, 0.6, 2)]
)
def test_too_few_scores_are_refused_with_the_number_it_takes(n, coverage, needed):
    with pytest.raises(ValueError, match=f"{n} scores are too few for a coverage of {coverage}: at least {needed}"):
        conformal_quantile(np.zeros(n), coverage=coverage)
    assert conformal_quantile(np.zeros(needed), coverage=coverage) == 0.0


def test_intervals_cover_what_they_promise():
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(400):
        half = np.full(100, conformal_quantile(np.abs(rng.normal(size=99)), coverage=0.9))
        covered.append(interval_coverage(rng.normal(size=100), -half, half))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)  # the standard error is about 0.002


def test_the_ends_belong_to_an_interval():
    assert interval_coverage([1.0, 2.0, 3.0], [1.0, 2.0, 3.1], [1.5, 2.0, 4.0]) == pytest.approx(2 / 3)


def test_upside_down_intervals_are_refused():
    with pytest.raises(ValueError, match="low is above high in 1 of 2 intervals"):
        interval_coverage([1.0, 1.0], [0.0, 2.0], [2.0, 0.0])
    with pytest.raises(ValueError, match="low is above high"):
        mean_interval_width([1.0], [0.0])


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90, -0.1, math.nan])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1, not"):
        conformal_quantile(np.zeros(99), coverage=coverage)
