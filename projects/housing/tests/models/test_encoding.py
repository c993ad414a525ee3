"""The leak of a neighborhood statistic that holds each house's own price, and its absence in the cross-fitted one."""

import numpy as np
import pytest

from housing.config import EncodingSettings, TreeSettings
from housing.data.columns import columns
from housing.models.encoding import INDICATORS, STATISTICS, Encoding, fit_encoding
from housing.models.features import Design, category_names, groups, number_names
from housing.models.fit import regressor

N = 500
SPARSE = EncodingSettings(smoothing=0.5)
PLACE, CLASS = category_names().index("neighborhood"), category_names().index("ms_subclass")
FIRST = len(number_names())  # column of the first statistic
BY_PLACE = FIRST + STATISTICS.index(("neighborhood",))
BY_PLACE_AND_CLASS = FIRST + STATISTICS.index(("neighborhood", "ms_subclass"))


def random_houses(n: int, *, seed: int) -> Design:
    """Houses whose categories are drawn at random: 448 places and classes, so that most have one house or none."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(len(columns()[name].choices), size=n) for name in category_names()], axis=1)
    numbers = np.zeros((n, len(number_names())))
    numbers[:, number_names().index("total_sf")] = rng.uniform(800, 4000, n)
    return Design(numbers, codes)


def prices_of(houses: Design, *, seed: int):
    """Log prices: something that a place does say, something of the size, and noise that nothing says."""
    noise = np.random.default_rng(seed).normal(0, 0.3, len(houses.codes))
    size = np.log(houses.numbers[:, number_names().index("total_sf")])
    return 7 + 0.02 * houses.codes[:, PLACE] + 0.6 * size + noise


@pytest.fixture(scope="module")
def training():
    houses = random_houses(N, seed=1)
    return houses, prices_of(houses, seed=2)


@pytest.fixture(scope="module")
def new():
    houses = random_houses(N, seed=3)
    return houses, prices_of(houses, seed=4)


def errors(inputs, encoding: Encoding, training, new) -> tuple[float, float]:
    """Return the root mean squared error of trees fitted to these inputs, on their own rows and on new houses."""
    settings = TreeSettings(iterations=80, depth=3, learning_rate=0.1, rsm=1.0, l2_leaf_reg=3.0)
    trees = regressor(settings, seed=0, threads=1).fit(inputs, training[1])

    def error(rows, log_price) -> float:
        return float(np.sqrt(np.mean((trees.predict(rows) - log_price) ** 2)))

    return error(inputs, training[1]), error(encoding.transform(new[0]), new[1])


def test_the_naive_statistic_leaks_and_the_cross_fitted_one_does_not(training, new):
    """Numbers seen: naive 0.17 on its own rows, 0.38 on new ones; cross-fitted 0.25 and 0.33. The noise is 0.3."""
    encoding, crossed = fit_encoding(*training, SPARSE, seed=0)
    naive_own, naive_new = errors(encoding.transform(training[0]), encoding, training, new)
    crossed_own, crossed_new = errors(crossed, encoding, training, new)
    assert naive_new > 2 * naive_own
    assert crossed_new < 1.5 * crossed_own
    assert crossed_new < 0.9 * naive_new
    assert naive_own < 0.2  # a third of the noise explained: what only a leak can do
    assert crossed_own > 0.2


@pytest.mark.parametrize("house", [0, 123, N - 1])
def test_a_houses_own_price_does_not_change_its_cross_fitted_row(training, house):
    houses, log_price = training
    higher = log_price.copy()
    higher[house] += 1.0
    before, crossed = fit_encoding(houses, log_price, SPARSE, seed=0)
    after, changed = fit_encoding(houses, higher, SPARSE, seed=0)
    np.testing.assert_array_equal(changed[house], crossed[house])
    own = Design(houses.numbers[[house]], houses.codes[[house]])
    assert (after.transform(own) - before.transform(own)).max() > 0.1  # the naive row does change


def test_a_neighbors_price_does_change_the_cross_fitted_row(training):
    houses, log_price = training
    place = houses.codes[0, PLACE]
    others = np.flatnonzero(houses.codes[:, PLACE] == place)[1:]
    higher = log_price.copy()
    higher[others] += 1.0
    crossed, changed = (fit_encoding(houses, prices, SPARSE, seed=0)[1] for prices in (log_price, higher))
    assert changed[0, BY_PLACE] > crossed[0, BY_PLACE] + 0.5


def three_houses() -> tuple[Design, np.ndarray]:
    houses = random_houses(6, seed=0)
    houses.codes[:] = 0
    houses.codes[:, PLACE] = [4, 4, 4, 9, 9, 9]
    houses.numbers[:, number_names().index("total_sf")] = np.exp([7.0, 7.0, 7.0, 7.5, 7.5, 7.5])
    return houses, np.array([12.0, 12.1, 12.5, 11.0, 11.0, 11.0])


def test_a_statistic_is_the_smoothed_mean_worked_out_by_hand():
    houses, log_price = three_houses()
    encoding, _ = fit_encoding(houses, log_price, EncodingSettings(smoothing=2, folds=2), seed=0)
    overall = 69.6 / 6
    per_sf = encoding.transform(houses)[:, len(STATISTICS) :]
    assert encoding.transform(houses)[0, BY_PLACE] == pytest.approx((36.6 + 2 * overall) / 5)
    assert encoding.transform(houses)[5, BY_PLACE] == pytest.approx((33.0 + 2 * overall) / 5)
    overall_per_sf = (69.6 - 3 * 7.0 - 3 * 7.5) / 6
    assert per_sf[0, BY_PLACE] == pytest.approx((36.6 - 21.0 + 2 * overall_per_sf) / 5)


def test_a_place_without_houses_is_given_the_overall_mean():
    houses, log_price = three_houses()
    encoding, _ = fit_encoding(houses, log_price, EncodingSettings(folds=2), seed=0)
    elsewhere = Design(houses.numbers[:1], houses.codes[:1].copy())
    elsewhere.codes[0, PLACE] = 20
    assert encoding.transform(elsewhere)[0, BY_PLACE] == pytest.approx(69.6 / 6)


def test_the_cross_fitted_row_is_the_mean_over_the_other_folds():
    """One house a fold: each gets the mean of all others."""
    houses, log_price = three_houses()
    _, crossed = fit_encoding(houses, log_price, EncodingSettings(smoothing=1e-9, folds=6), seed=0)
    np.testing.assert_allclose(crossed[:, BY_PLACE], [12.3, 12.25, 12.05, 11, 11, 11])


@pytest.mark.parametrize("house", range(4))
def test_two_houses_share_a_statistic_where_they_share_its_codes(training, house):
    part = Design(training[0].numbers[:200], training[0].codes[:200])
    lone = np.zeros(200)
    lone[house] = 1.0  # only this house has a price, so what is above 0 saw it
    encoding, _ = fit_encoding(part, lone, EncodingSettings(smoothing=1e-9), seed=0)
    seen = encoding.transform(part)[:, FIRST : FIRST + len(STATISTICS)] > 1e-6
    for column, names in enumerate(STATISTICS):
        own = [category_names().index(name) for name in names]
        np.testing.assert_array_equal(seen[:, column], (part.codes[:, own] == part.codes[house, own]).all(axis=1))


def test_indicators_stand_for_common_codes_of_their_columns_only(training):
    houses, log_price = training
    encoding, _ = fit_encoding(houses, log_price, EncodingSettings(rare=40), seed=0)
    assert len(encoding.indicator_column) > 0
    pairs = list(zip(encoding.indicator_column.tolist(), encoding.indicator_code.tolist(), strict=True))
    assert {category_names()[column] for column, _ in pairs} <= set(INDICATORS)
    expected = {
        (column, code)
        for column in map(category_names().index, INDICATORS)
        for code in range(len(columns()[category_names()[column]].choices))
        if (houses.codes[:, column] == code).sum() >= 40
    }
    assert set(pairs) == expected
    inputs = encoding.transform(houses)[:, -len(pairs) :]
    for k, (column, code) in enumerate(pairs):
        np.testing.assert_array_equal(inputs[:, k], houses.codes[:, column] == code)


def test_inputs_have_one_meaning_in_training_and_serving(training):
    houses, log_price = training
    encoding, crossed = fit_encoding(houses, log_price, SPARSE, seed=0)
    served = encoding.transform(houses)
    assert served.shape == crossed.shape == (N, len(encoding.groups()))
    statistics = slice(FIRST, FIRST + 2 * len(STATISTICS))
    np.testing.assert_array_equal(np.delete(served, statistics, axis=1), np.delete(crossed, statistics, axis=1))
    assert np.corrcoef(served[:, BY_PLACE], crossed[:, BY_PLACE])[0, 1] > 0.5
    assert np.isfinite(served).all()
    assert np.isfinite(crossed).all()
    assert set(encoding.groups()) <= set(range(len(groups())))


def test_a_statistic_counts_for_the_group_of_its_first_column(training):
    encoding, _ = fit_encoding(*training, SPARSE, seed=0)
    assert groups()[encoding.groups()[BY_PLACE]] == "Location"
    assert groups()[encoding.groups()[BY_PLACE + len(STATISTICS)]] == "Location"
    assert groups()[encoding.groups()[FIRST + STATISTICS.index(("foundation",))]] == "Basement"
