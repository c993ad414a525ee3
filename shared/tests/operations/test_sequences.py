import math

import numpy as np
import pytest

from portfolio_shared.operations.sequences import FIRST_LOOK, confidence_sequence, half_width, needed, rests_on


def test_the_interval_is_that_of_the_formula():
    values = np.random.default_rng(0).normal(size=80)
    low, high = confidence_sequence(values, alpha=0.1, tuned_for=200)
    n, mean, deviation = 60, values[:60].mean(), values[:60].std()
    rho2 = (-2 * math.log(0.1) + math.log(-2 * math.log(0.1) + 1)) / 200
    half = deviation * math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / 0.1))
    assert (low[59], high[59]) == pytest.approx((mean - half, mean + half))


def test_it_is_as_narrow_as_can_be_where_it_is_tuned_for():
    widths = {tuned: float(half_width(500, 1.0, tuned_for=tuned)) for tuned in (100, 250, 400, 500, 600, 1000, 3000)}
    assert min(widths, key=lambda tuned: widths[tuned]) in (400, 500, 600)
    assert widths[500] == pytest.approx(min(widths.values()), rel=1e-3)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_units_and_zero_points_change_nothing(unit, shift):
    values = np.random.default_rng(1).normal(size=100)
    low, high = confidence_sequence(unit * (values + shift))
    plain = confidence_sequence(values)
    assert low[60:] / unit - shift == pytest.approx(plain[0][60:], abs=1e-6)
    assert high[60:] / unit - shift == pytest.approx(plain[1][60:], abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_equal_values_say_nothing_of_the_next_one(value):
    values = [value, value * (1 + 1e-15)] * 250
    low, high = confidence_sequence(values)
    assert np.isneginf(low).all()
    assert np.isposinf(high).all()
    assert rests_on(values) == 0


@pytest.mark.parametrize("n", [0, 1, FIRST_LOOK - 1])
def test_nothing_is_said_before_the_first_look(n):
    low, high = confidence_sequence(np.arange(n))
    assert len(low) == len(high) == n
    assert np.isinf(low).all()
    assert rests_on(np.arange(n)) == 0


def test_a_difference_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        confidence_sequence([0.0, math.nan])


@pytest.mark.parametrize(("difference", "deviation"), [(0.0, 1.0), (0.1, 0.0)])
def test_what_cannot_be_found_is_refused(difference, deviation):
    with pytest.raises(ValueError, match="expected a difference and a deviation"):
        needed(difference, deviation)


def test_so_many_are_needed_as_make_the_interval_as_narrow():
    n = needed(-0.07, 0.5, alpha=0.01)
    assert half_width(n, 0.5, alpha=0.01) <= 0.07 < half_width(n - 1, 0.5, alpha=0.01)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_finding_rests_on_those_without_whom_it_would_not_stand(sign):
    values = sign * (np.random.default_rng(2).normal(size=300) + 0.5)
    k = rests_on(values)
    ordered = np.sort(sign * values)
    assert confidence_sequence(ordered[:-k])[0][-1] <= 0 < confidence_sequence(ordered[: len(ordered) - k + 1])[0][-1]
