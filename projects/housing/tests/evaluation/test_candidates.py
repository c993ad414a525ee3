import numpy as np
import pytest

from housing.config import ModelSettings, TreeSettings
from housing.data.columns import columns
from housing.data.load import load_sales
from housing.evaluation import candidates
from housing.evaluation.candidates import (
    BLEND,
    LINEAR,
    SERVABLE,
    TREES,
    Candidate,
    cross_validate,
    n_fits,
    peers,
    plain_matrix,
    sparse_out_of_fold,
)
from housing.models.imputation import fit_typical
from housing.models.predictor import MemberPrices

QUICK = ModelSettings(trees=TreeSettings(iterations=30, depth=4, learning_rate=0.1))
N = 150


@pytest.fixture(scope="module")
def sales():
    return load_sales("sample").take(np.arange(800) < N)


def folds(n: int, k: int) -> np.ndarray:
    return np.arange(n) % k


def test_a_fold_is_never_predicted_by_a_model_that_saw_it(sales, monkeypatch):
    """A candidate that memorises answers with the price it remembers: here it must remember none."""
    seen, asked = [], []

    def memory(records, prices, new):
        known = {id(record): price for record, price in zip(records, prices, strict=True)}
        seen.append(len(records))
        asked.extend(id(record) for record in new)
        return {"memory": np.array([np.log(known[id(record)]) if id(record) in known else 0.0 for record in new])}

    monkeypatch.setattr(candidates, "peers", lambda *, seed: {"memory": memory})
    monkeypatch.setattr(candidates, "served", lambda settings, *, seed, threads: {})
    records = sales.records
    found = cross_validate(records, sales.prices, folds(N, 3), QUICK)
    assert (found["memory"].log_prices == 0).all()
    assert seen == [100, 100, 100]
    assert sorted(asked) == sorted(id(record) for record in records)  # each house exactly once


def test_sparse_held_out_houses_are_known_by_their_required_fields_to_models_that_learned_from_full_ones(
    sales, monkeypatch
):
    learned, asked = [], []

    class Spy:
        def __init__(self, records, prices, settings, *, seed, threads) -> None:
            learned.extend(records)

        def log_prices(self, records) -> MemberPrices:
            asked.extend(records)
            return MemberPrices(*np.full((2, len(records)), 12.0))

    monkeypatch.setattr(candidates, "fit_members", Spy)
    found = sparse_out_of_fold(sales.records, sales.prices, folds(N, 3), QUICK)
    assert {tuple(record) for record in asked} == {tuple(record for record in columns() if columns()[record].required)}
    assert {len(record) for record in learned} == {len(columns())}
    assert (len(asked), len(learned)) == (N, 2 * N)
    assert (found.linear == 12).all()


def test_sparse_houses_are_predicted_out_of_fold(sales):
    """Of prices drawn at random the required fields say nothing."""
    prices = np.exp(np.random.default_rng(0).normal(12, 0.4, N))
    found = sparse_out_of_fold(sales.records, prices, folds(N, 2), QUICK, threads=1).blend(0.5)
    assert abs(np.corrcoef(found, np.log(prices))[0, 1]) < 0.25


def test_no_candidate_finds_a_pattern_where_there_is_none(sales):
    """Prices drawn at random: out of fold nothing beats the median, whatever it says of its own rows."""
    prices = np.exp(np.random.default_rng(0).normal(12, 0.4, N))
    found = cross_validate(sales.records, prices, folds(N, 2), QUICK, threads=1)
    median = found["median"].summary["rmsle_mean"]
    for name, candidate in found.items():
        assert candidate.summary["rmsle_mean"] > 0.97 * median, name
    fit = peers(seed=0)["HistGradientBoosting"]
    own = fit(sales.records, prices, sales.records)["HistGradientBoosting"]
    assert np.sqrt(np.mean((own - np.log(prices)) ** 2)) < 0.6 * median  # it does memorise, where it may


def test_every_candidate_beats_the_median_and_has_all_its_numbers(trained, train_config):
    median = trained.candidates["median"]
    for name, candidate in trained.candidates.items():
        assert candidate.name == name
        assert candidate.log_prices.shape == trained.training.prices.shape
        assert np.isfinite(candidate.log_prices).all()
        assert len(candidate.rmsle) == len(candidate.mae) == len(candidate.fit_seconds) == train_config.folds
        if name != "median":
            assert candidate.summary["rmsle_mean"] < 0.5 * median.summary["rmsle_mean"]
    assert set(trained.candidates) == {*peers(seed=0), BLEND, LINEAR, TREES}


def test_the_fold_errors_are_those_of_the_kept_predictions(sales):
    fold = folds(N, 3)
    found = cross_validate(sales.records, sales.prices, fold, QUICK, threads=1)
    for candidate in found.values():
        for k in range(3):
            error = candidate.log_prices[fold == k] - np.log(sales.prices[fold == k])
            assert candidate.rmsle[k] == pytest.approx(np.sqrt(np.mean(error**2)))


def test_the_blend_is_made_of_its_members(sales):
    found = cross_validate(sales.records, sales.prices, folds(N, 2), QUICK, threads=1)
    weight = QUICK.linear_weight
    mixed = weight * found[LINEAR].log_prices + (1 - weight) * found[TREES].log_prices
    np.testing.assert_allclose(found[BLEND].log_prices, mixed)
    assert SERVABLE == {BLEND: None, LINEAR: 1.0, TREES: 0.0}


def test_cross_validation_is_deterministic(sales):
    first, second = (
        cross_validate(sales.records, sales.prices, folds(N, 2), QUICK, seed=5, threads=1) for _ in range(2)
    )
    for name, candidate in first.items():
        np.testing.assert_array_equal(candidate.log_prices, second[name].log_prices)


def test_progress_is_told_once_for_every_candidate_and_fold(sales):
    steps = []
    found = cross_validate(sales.records, sales.prices, folds(N, 2), QUICK, threads=1, advance=steps.append)
    assert len(steps) == n_fits(2) == 2 * len(found)
    assert steps[0] == "fold 1 of 2: median"


def test_a_summary_is_worked_out_by_hand():
    candidate = Candidate("one", np.empty(4))
    prices = np.array([100.0, 100.0, 200.0, 200.0])
    candidate.add_fold(np.array([True, True, False, False]), prices, np.log([100.0, 200.0]), 1.0)
    candidate.add_fold(np.array([False, False, True, True]), prices, np.log([200.0, 200.0]), 3.0)
    first = np.log(2) / np.sqrt(2)
    assert candidate.summary == pytest.approx(
        {"rmsle_mean": first / 2, "rmsle_sd": first / np.sqrt(2), "mae_mean": 25.0, "fit_seconds": 2.0}
    )


def test_the_peers_read_the_files_own_columns_only(sales):
    """Every code has a column, numbers are as in the file, and no derived feature is among them."""
    matrix = plain_matrix(sales.records, fit_typical(sales.records))
    codes = sum(len(column.choices) for column in columns().values() if column.kind == "category")
    others = sum(column.kind != "category" for column in columns().values())
    assert matrix.shape == (N, codes + others)
    one_hot = matrix[:, others:]
    assert set(np.unique(one_hot)) == {0.0, 1.0}
    assert (one_hot.sum(axis=1) == sum(column.kind == "category" for column in columns().values())).all()
    np.testing.assert_array_equal(matrix[:, 1], sales.frame["lot_area"])
