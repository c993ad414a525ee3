"""Conformal intervals hold what they promise, and refuse what has no answer."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portfolio_shared.evaluation.conformal import conformal_quantile, interval_coverage, mean_interval_width
from portfolio_shared.evaluation.vectors import check_vectors


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
def test_the_conformal_quantile_is_an_order_statistic(n: int, coverage: float, rank: int) -> None:
    scores = np.random.default_rng(6).permutation(np.arange(1.0, n + 1))
    assert conformal_quantile(scores, coverage=coverage) == rank


@pytest.mark.parametrize(
    ("n", "coverage", "needed"), [(8, 0.9, 9), (18, 0.95, 19), (98, 0.99, 99), (1, 0.51, 2), (1, 0.6, 2)]
)
def test_too_few_scores_are_refused_with_the_number_it_takes(n: int, coverage: float, needed: int) -> None:
    with pytest.raises(ValueError, match=f"{n} scores are too few for a coverage of {coverage}: at least {needed}"):
        conformal_quantile(np.zeros(n), coverage=coverage)
    assert conformal_quantile(np.zeros(needed), coverage=coverage) == 0.0


def test_the_quantile_may_be_negative_and_tied() -> None:
    assert conformal_quantile([-3.0, -3.0, -3.0, -1.0], coverage=0.5) == -3.0


def noisy(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise that grows with x, centred on zero."""
    x = rng.uniform(0.1, 2, n)
    return x, rng.normal(0, 1, n) * x


def simulate(width: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]) -> tuple[float, float]:
    """Return coverage and mean width of the intervals ``0 +- half(x)`` over many calibrations on 99 rows."""
    rng = np.random.default_rng(7)
    covered, widths = [], []
    for _ in range(400):
        half = width(*noisy(rng, 99))
        x, y = noisy(rng, 100)
        covered.append(interval_coverage(y, -half(x), half(x)))
        widths.append(mean_interval_width(-half(x), half(x)))
    return float(np.mean(covered)), float(np.mean(widths))


def constant(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    half = conformal_quantile(np.abs(y), coverage=0.9)
    return lambda new: np.full_like(new, half)


def scaled(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    multiplier = conformal_quantile(np.abs(y) / (3 * x), coverage=0.9)
    return lambda new: multiplier * 3 * new


def test_intervals_cover_what_they_promise() -> None:
    # The standard error over 400 calibrations is about 0.002.
    for method in (constant, scaled):
        coverage, _ = simulate(method)
        assert coverage == pytest.approx(0.9, abs=0.01), method.__name__


def test_intervals_that_know_where_noise_is_are_narrower() -> None:
    constant_width, scaled_width = (simulate(method)[1] for method in (constant, scaled))
    assert scaled_width < 0.97 * constant_width


def test_constant_width_covers_quiet_rows_too_often_and_loud_rows_too_rarely() -> None:
    rng = np.random.default_rng(8)
    half = constant(*noisy(rng, 2000))
    loud_scale = scaled(*noisy(rng, 2000))
    x, y = noisy(rng, 20_000)
    loud = x > 1.5
    assert interval_coverage(y[loud], -half(x[loud]), half(x[loud])) < 0.83
    assert interval_coverage(y[~loud], -half(x[~loud]), half(x[~loud])) > 0.92
    assert interval_coverage(y[loud], -loud_scale(x[loud]), loud_scale(x[loud])) == pytest.approx(0.9, abs=0.02)


def test_the_ends_belong_to_an_interval() -> None:
    assert interval_coverage([1.0, 2.0, 3.0], [1.0, 2.0, 3.1], [1.5, 2.0, 4.0]) == pytest.approx(2 / 3)


def test_upside_down_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="low is above high in 1 of 2 intervals"):
        interval_coverage([1.0, 1.0], [0.0, 2.0], [2.0, 0.0])
    with pytest.raises(ValueError, match="low is above high"):
        mean_interval_width([1.0], [0.0])


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90, -0.1, math.nan])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1, not"):
        conformal_quantile(np.zeros(99), coverage=coverage)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([], [], "y_true is empty"),
        ([1.0, math.nan], [1.0, 2.0], "y_true has 1 values of 2 that are not finite"),
        ([1.0, 2.0], [1.0, math.inf], "y_pred has 1 values"),
        ([1.0, 2.0], [1.0], "1-D arrays of one length"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "1-D arrays of one length"),
    ],
)
def test_vectors_without_an_answer_are_refused(y_true: Any, y_pred: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_vectors(y_true=y_true, y_pred=y_pred)
