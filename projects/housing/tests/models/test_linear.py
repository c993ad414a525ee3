import numpy as np
import pytest

from housing.config import LinearSettings
from housing.models.features import Design, category_names, design, groups, number_names
from housing.models.imputation import complete, fit_typical
from housing.models.linear import LinearModel, fit_linear

SQUARED = 1e6  # a threshold that no residual reaches
EXACT = LinearSettings(ridge=1e-4, exception_ridge=1e-4, huber=SQUARED, clip_low=0, clip_high=1)


@pytest.fixture(scope="module")
def houses(some_sales) -> Design:
    records = some_sales(800).records
    typical = fit_typical(records)
    return design([complete(record, typical)[0] for record in records])


def rows(houses: Design, which) -> Design:
    return Design(houses.numbers[which], houses.codes[which])


def number(houses: Design, name: str):
    return houses.numbers[:, number_names().index(name)]


def with_number(houses: Design, name: str, value) -> Design:
    changed = houses.numbers.copy()
    changed[:, number_names().index(name)] = value
    return Design(changed, houses.codes)


def truth_of(houses: Design):
    """A truth inside the basis: a number, a logarithm, and one neighborhood's level."""
    place = houses.codes[:, category_names().index("neighborhood")]
    size = np.log1p(number(houses, "gr_liv_area"))
    return 9.0 + 0.1 * number(houses, "overall_qual") + 0.3 * size + 0.2 * (place == 4)


def rms(errors) -> float:
    return float(np.sqrt(np.mean(errors**2)))


@pytest.fixture(scope="module")
def fitted(houses) -> LinearModel:
    noise = np.random.default_rng(0).normal(0, 0.1, len(houses.numbers))
    return fit_linear(rows(houses, slice(500)), (truth_of(houses) + noise)[:500], LinearSettings())


@pytest.mark.parametrize("which", [slice(500), slice(500, None)], ids=["houses fitted to", "new houses"])
def test_contributions_and_the_expected_value_sum_to_the_prediction(houses, fitted, which):
    part = rows(houses, which)
    parts = fitted.contributions(part)
    assert parts.shape == (len(part.numbers), len(groups()))
    np.testing.assert_allclose(parts.sum(axis=1) + fitted.expected, fitted.predict(part), atol=1e-9)


def test_the_expected_value_is_the_mean_over_the_houses_fitted_to(houses, fitted):
    assert fitted.expected == pytest.approx(fitted.predict(rows(houses, slice(500))).mean())
    assert fitted.coefficient[-1] == pytest.approx(0, abs=1e-9)  # among them are no large, partly built ones


def test_a_truth_inside_the_basis_is_recovered_on_new_houses(houses):
    truth = truth_of(houses)
    model = fit_linear(rows(houses, slice(500)), truth[:500], EXACT)
    error = model.predict(rows(houses, slice(500, None))) - truth[500:]
    assert truth[500:].std() > 0.1
    assert rms(error) < 0.01


def test_the_truth_is_credited_to_the_groups_that_make_it(houses):
    """Only the lot's area pays: the lot's group takes the credit, groups of other columns next to none."""
    truth = 10 + 0.5 * np.log1p(number(houses, "lot_area"))
    parts = fit_linear(houses, truth, EXACT).contributions(houses).std(axis=0)
    assert np.argmax(parts) == groups().index("Lot")
    assert parts[groups().index("Kitchen")] < 0.02 * parts[groups().index("Lot")]


def test_hubers_loss_resists_odd_sales_that_bend_a_squared_loss(houses):
    rng = np.random.default_rng(1)
    truth = truth_of(houses)
    seen = truth[:500] + rng.normal(0, 0.03, 500)
    odd = rng.choice(500, 40, replace=False)
    seen[odd] -= 1.5  # sold for a quarter of what they are worth
    new = rows(houses, slice(500, None))

    def error(settings: LinearSettings) -> float:
        return rms(fit_linear(rows(houses, slice(500)), seen, settings).predict(new) - truth[500:])

    robust, squared = error(LinearSettings()), error(LinearSettings(huber=SQUARED))
    assert squared > 0.1
    assert robust < 0.3 * squared


def test_a_column_that_was_constant_in_training_changes_no_price(houses):
    without = with_number(houses, "pool_area", 0.0)
    model = fit_linear(without, truth_of(houses), LinearSettings())
    pools = with_number(rows(houses, slice(20)), "pool_area", 600.0)
    np.testing.assert_array_equal(model.predict(pools), model.predict(rows(without, slice(20))))
    assert model.scale[number_names().index("pool_area")] == 0


def test_a_house_far_outside_is_treated_as_far_not_as_absurd(houses, fitted):
    normal = rows(houses, slice(50))
    mansion = with_number(normal, "gr_liv_area", 1e6)
    assert np.abs(fitted.predict(mansion) - fitted.predict(normal)).max() < 3


@pytest.mark.parametrize("settings", [LinearSettings(slopes=False), LinearSettings(knots=0), LinearSettings(rare=700)])
def test_parts_of_the_basis_can_be_left_out(houses, settings):
    model = fit_linear(houses, truth_of(houses), settings)
    parts = model.contributions(houses)
    np.testing.assert_allclose(parts.sum(axis=1) + model.expected, model.predict(houses), atol=1e-9)
    assert rms(model.predict(houses) - truth_of(houses)) < 0.1


def test_rare_codes_get_no_column(houses):
    model = fit_linear(houses, truth_of(houses), LinearSettings(rare=60))
    for column, code in zip(model.indicator_column, model.indicator_code, strict=True):
        assert (houses.codes[:, column] == code).sum() >= 60
    place = category_names().index("neighborhood")
    common = {code for code in range(28) if (houses.codes[:, place] == code).sum() >= 60}
    assert set(model.slope_code.tolist()) == common


def with_exceptions(houses: Design) -> tuple[Design, np.ndarray]:
    """Four houses, far apart in the file, sold 0.8 below their worth on the log scale; noise as in real sales."""
    flags = np.zeros(len(houses.numbers))
    flags[::200] = 1.0
    noise = np.random.default_rng(2).normal(0, 0.1, len(flags))
    return with_number(houses, "large_and_partial", flags), truth_of(houses) - 0.8 * flags + noise


def test_large_partly_built_houses_get_a_level_of_their_own(houses):
    """A few houses far below the line are read as their kind, and cost the others nothing."""
    odd, log_price = with_exceptions(houses)
    model = fit_linear(odd, log_price, LinearSettings())
    error = model.predict(odd) - truth_of(houses)
    np.testing.assert_allclose(error[::200], -0.8, atol=0.25)
    assert rms(np.delete(error, np.s_[::200])) < 0.06


def test_the_exceptions_own_column_says_a_part_of_what_the_flag_does_to_a_prediction(houses):
    """The rest stands among the standardized numbers, and is left for the trees to learn."""
    odd, log_price = with_exceptions(houses)
    model = fit_linear(odd, log_price, LinearSettings())
    usual = rows(houses, slice(20))
    change = model.predict(with_number(usual, "large_and_partial", 1.0)) - model.predict(usual)
    np.testing.assert_allclose(change, change[0], atol=0.02)
    assert change[0] < model.coefficient[-1] < -0.1
