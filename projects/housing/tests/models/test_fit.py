from dataclasses import replace

import numpy as np
import pytest

from housing.config import ModelSettings, ScaleSettings, TreeSettings
from housing.data.house import sparsely
from housing.evaluation.candidates import BLEND
from housing.models.fit import fit, fit_intervals, fit_members
from housing.models.intervals import MemberPrices

QUICK = ModelSettings(trees=TreeSettings(iterations=40, depth=4, learning_rate=0.1), scale=ScaleSettings(iterations=20))


def fitted(trained):
    return fit(trained.split, QUICK, trained.candidates[BLEND], threads=1)


@pytest.mark.long
def test_the_served_arrays_give_the_prices_of_the_fitted_libraries(trained):
    """What is compared in cross-validation (the libraries) is what is served (arrays)."""
    training, test = trained.split.train, trained.split.test
    members = fit_members(training.records, training.prices, QUICK, seed=0, threads=1)
    ours = np.log(fitted(trained).price_and_interval(test.records)[0])
    np.testing.assert_allclose(members.log_prices(test.records).blend(QUICK.linear_weight), ours, atol=1e-9)


def test_the_trees_are_fitted_to_cross_fitted_inputs(trained):
    training = trained.split.train
    members = fit_members(training.records, training.prices, QUICK, threads=1)
    assert (members.inputs != members.encoding.transform(members.houses)).any()


def test_large_partly_built_houses_teach_the_trees_nothing(trained):
    """Their effect is the linear member's; the trees see their prices with it taken out."""
    records = [dict(record) for record in trained.split.train.records]
    prices = trained.split.train.prices.copy()
    odd = [0, 200, 400]
    for i in odd:
        records[i] |= {"gr_liv_area": 4500.0, "first_flr_sf": 4500.0, "second_flr_sf": 0.0, "sale_condition": "Partial"}
        prices[i] *= 0.5
    members = fit_members(records, prices, QUICK, threads=1)
    effect = members.linear.coefficient[-1]
    assert effect < -0.1
    normal = [{**records[i], "sale_condition": "Normal"} for i in odd]
    inputs = members.encoding.transform(members.houses)[odd]
    partial = np.mean([trees.predict(inputs) for trees in members.library_trees], axis=0)
    predicted = members.log_prices([records[i] for i in odd]).trees
    np.testing.assert_allclose(predicted - partial, effect, atol=1e-9)
    assert members.log_prices(normal).trees.shape == (3,)


@pytest.mark.parametrize("read", [dict, sparsely], ids=["all fields", "the required ones, as a visitor of the page"])
def test_nine_tenths_of_the_held_out_prices_lie_in_their_intervals(trained, read):
    """Within what so few houses can say: 0.9 and three and a half standard errors."""
    test = trained.split.test
    _, low, high = trained.predictor.price_and_interval([read(record) for record in test.records])
    inside = np.mean((low <= test.prices) & (test.prices <= high))
    assert abs(inside - 0.9) < 3.5 * np.sqrt(0.9 * 0.1 / len(low))


@pytest.mark.long
def test_sparse_records_are_calibrated_on_their_own_errors(trained):
    """Held-out errors three times as large widen the sparse records' intervals and leave the full ones' alone."""
    log_price, chosen = np.log(trained.split.train.prices), trained.candidates[BLEND]
    full = chosen.model.members
    worse = MemberPrices(*(log_price + 3 * (prices - log_price) for prices in (full.linear, full.trees)))
    same, wide = (
        fit(trained.split, QUICK, replace(chosen, model=replace(chosen.model, sparse_members=sparse)), threads=1)
        for sparse in (full, worse)
    )
    np.testing.assert_array_equal(same.intervals.calibration.scores, wide.intervals.calibration.scores)

    def width(model, records) -> float:
        _, low, high = model.price_and_interval(records)
        return float(np.mean(np.log(high / low)))

    sparse_records = [sparsely(record) for record in trained.split.test.records]
    assert width(wide, sparse_records) > 1.8 * width(same, sparse_records)
    assert width(wide, trained.split.test.records) == width(same, trained.split.test.records)


def test_a_baseline_is_not_served(trained):
    with pytest.raises(ValueError, match="the baseline 'ridge'"):
        fit(trained.split, QUICK, trained.candidates["ridge"])


def noisy(n: int, seed: int):
    """Inputs that say nothing, and errors of one size: whatever a scale learns from them is chance."""
    rng = np.random.default_rng(seed)
    linear, trees = rng.normal(12, 0.3, (2, n))
    prices = MemberPrices(linear, trees)
    return rng.normal(size=(n, 10)), prices, prices.blend(0.5) + rng.normal(0, 0.1, n)


MEMORIZING = ModelSettings(
    linear_weight=0.5,
    scale=ScaleSettings(iterations=200, learning_rate=0.3, depth=6, rsm=1.0, l2_leaf_reg=0.1, floor=0.005, bands=1),
)


@pytest.mark.long
def test_the_scale_is_cross_fitted_before_the_quantile_is_taken():
    """A scale that memorizes its errors gives intervals that still cover new houses.

    Taken from the scale's own rows, the same quantile covers far fewer.
    """
    inputs, prices, log_price = noisy(300, seed=0)
    intervals = fit_intervals(inputs, log_price, prices, MEMORIZING, seed=0, threads=1)
    new_inputs, new_prices, new_log_price = noisy(1500, seed=1)

    def scale(inputs, prices):
        return np.exp(intervals.scale.predict(prices.scale_inputs(inputs, 0.5)))

    own_scores = np.abs(log_price - prices.blend(0.5)) / scale(inputs, prices)
    new_scores = np.abs(new_log_price - new_prices.blend(0.5)) / scale(new_inputs, new_prices)
    assert np.mean(new_scores <= intervals.quantiles[0]) > 0.86
    assert np.mean(new_scores <= np.quantile(own_scores, 0.9)) < 0.6  # the trap


def in_bands(bands: int) -> ModelSettings:
    scale = QUICK.scale.model_copy(update={"bands": bands, "excess": 0.0})
    return QUICK.model_copy(update={"linear_weight": 0.5, "scale": scale})


def test_bands_of_the_price_paid_share_out_the_houses_and_each_has_the_quantile_of_its_own_scores():
    inputs, prices, log_price = noisy(297, seed=2)
    intervals = fit_intervals(inputs, log_price, prices, in_bands(3), seed=0, threads=1)
    bands, scores = intervals.calibration.paid_bands, intervals.calibration.scores
    assert np.bincount(bands).tolist() == [99, 99, 99]
    assert max(log_price[bands == 0]) < intervals.calibration.paid_edges[0] < min(log_price[bands == 1])
    for band, quantile in enumerate(intervals.quantiles):
        assert quantile == np.sort(scores[bands == band])[89]  # ceil(100 * 0.9) of 99
    lower = replace(intervals, calibration=replace(intervals.calibration, excess=0.01))
    assert lower.quantiles[0] == np.sort(scores[bands == 0])[88]  # ceil(100 * 0.89)


@pytest.mark.parametrize(("houses", "bands"), [(15, 1), (59, 2), (60, 3), (400, 3)])
def test_few_houses_are_shared_among_fewer_bands(houses, bands):
    inputs, prices, log_price = noisy(houses, seed=2)
    intervals = fit_intervals(inputs, log_price, prices, in_bands(3), seed=0, threads=1)
    assert len(intervals.quantiles) == bands


def regressing(n: int, seed: int):
    """Prices that the record tells half of: cheap houses are predicted too high, expensive ones too low."""
    rng = np.random.default_rng(seed)
    predicted = rng.normal(12, 0.2, n)
    return np.zeros((n, 2)), MemberPrices(predicted, predicted), predicted + rng.normal(0, 0.2, n)


@pytest.mark.parametrize(("bands", "least"), [(1, 0.81), (5, 0.9)])
def test_bands_hold_as_much_of_the_cheapest_and_most_expensive_fifth_as_of_the_others(bands, least):
    """By the price paid, as the report counts; one quantile holds what it says on average alone."""
    inputs, prices, log_price = regressing(2000, seed=0)
    intervals = fit_intervals(inputs, log_price, prices, in_bands(bands), seed=0, threads=1)
    inputs, prices, log_price = regressing(20_000, seed=1)
    predicted = prices.blend(0.5)
    low, high = intervals.bounds(prices.scale_inputs(inputs, 0.5), predicted)
    assert ((low < predicted) & (predicted < high)).all()
    inside = (low <= log_price) & (log_price <= high)
    fifth = np.searchsorted(np.quantile(log_price, [0.2, 0.4, 0.6, 0.8]), log_price)
    held = [float(inside[fifth == i].mean()) for i in range(5)]
    assert min(held) == pytest.approx(least, abs=0.02)
    assert inside.mean() > 0.88


def test_intervals_are_wider_where_errors_were_larger():
    """Errors grow with the first input; so does the half width of new houses."""
    rng = np.random.default_rng(0)
    inputs = rng.uniform(0, 1, (600, 5))
    prices = MemberPrices(np.full(600, 12.0), np.full(600, 12.0))
    log_price = 12 + rng.normal(0, 0.02 + 0.3 * inputs[:, 0])
    intervals = fit_intervals(inputs, log_price, prices, QUICK, seed=0, threads=1)
    low, high = np.full((200, 5), 0.5), np.full((200, 5), 0.5)
    low[:, 0], high[:, 0] = 0.05, 0.95
    same = MemberPrices(np.full(200, 12.0), np.full(200, 12.0))
    narrow, wide = (np.exp(intervals.scale.predict(same.scale_inputs(x, 0.5))).mean() for x in (low, high))
    assert wide > 1.5 * narrow


def test_the_scale_reads_how_far_the_members_disagree():
    members = MemberPrices(np.array([12.0, 12.0]), np.array([11.0, 12.5]))
    inputs = members.scale_inputs(np.array([[1.0], [2.0]]), 0.25)
    np.testing.assert_allclose(inputs, [[1, 11.25, 1, 1], [2, 12.375, -0.5, 0.5]])
