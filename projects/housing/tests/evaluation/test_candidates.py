import numpy as np
import pytest

from housing.config import ModelSettings, TreeSettings
from housing.data.columns import columns
from housing.data.load import Split
from housing.evaluation import candidates
from housing.evaluation.candidates import (
    BLEND,
    COLUMNS,
    LINEAR,
    TREES,
    baselines,
    choose,
    chosen_settings,
    compare,
    cross_validate,
    cross_validate_members,
    n_fits,
    plain_matrix,
)
from housing.models.imputation import fit_typical
from housing.models.intervals import MemberPrices

QUICK = ModelSettings(trees=TreeSettings(iterations=30, depth=4, learning_rate=0.1))
N = 150


@pytest.fixture(scope="module")
def sales(some_sales):
    return some_sales(N)


@pytest.fixture(scope="module")
def split(sales):
    return Split(sales, np.arange(N) % 3, sales)


@pytest.fixture(scope="module")
def noise(sales):
    """The same houses with prices drawn at random."""
    frame = sales.frame.assign(sale_price=np.exp(np.random.default_rng(0).normal(12, 0.4, N)))
    random = type(sales)(frame, sales.records)
    return Split(random, np.arange(N) % 2, random)


@pytest.fixture(scope="module")
def compared(split):
    return compare(split, QUICK, threads=1)


def test_a_fold_is_never_predicted_by_a_model_that_saw_it(split):
    """A candidate that memorizes answers with the price it remembers: here it must remember none."""
    sizes, asked = [], []

    def memory(records, prices, new):
        price_of = {id(record): price for record, price in zip(records, prices, strict=True)}
        sizes.append(len(records))
        asked.extend(id(record) for record in new)
        return np.array([np.log(price_of.get(id(record), 1.0)) for record in new])

    candidate = cross_validate("memory", memory, split)
    assert (candidate.model.log_prices == 0).all()
    assert sizes == [100, 100, 100]
    assert sorted(asked) == sorted(id(record) for record in split.train.records)  # each house exactly once
    assert not candidate.servable


def test_members_learn_from_full_records_and_are_asked_for_held_out_ones_full_and_sparse(split, monkeypatch):
    learned, asked = [], []

    class Spy:
        def __init__(self, records, prices, settings, *, seed, threads) -> None:
            learned.append({id(record) for record in records})

        def log_prices(self, records) -> MemberPrices:
            asked.append(records)
            return MemberPrices(*np.full((2, len(records)), 12.0 if len(records[0]) == len(columns()) else 11.0))

    monkeypatch.setattr(candidates, "fit_members", Spy)
    measured = cross_validate_members(split, QUICK, seed=0, threads=1, advance=lambda _: None)
    required = {name for name, column in columns().items() if column.required}
    assert [len(ids) for ids in learned] == [100, 100, 100]  # one fit a fold for all three
    assert [{frozenset(record) for record in records} for records in asked[1::2]] == [{frozenset(required)}] * 3
    for ids, full in zip(learned, asked[::2], strict=True):
        assert not ids & {id(record) for record in full}
    for candidate in measured:
        assert (candidate.model.members.linear == 12).all()
        assert (candidate.model.sparse_members.trees == 11).all()


@pytest.mark.long
def test_no_candidate_finds_a_pattern_where_there_is_none(noise):
    """Prices drawn at random: out of fold nothing beats the median, whatever it says of its own rows."""
    compared = compare(noise, QUICK, threads=1)
    median = compared["median"].metrics["rmsle_mean"]
    for name, candidate in compared.items():
        assert candidate.metrics["rmsle_mean"] > 0.97 * median, name
    sparse = compared[BLEND].model.sparse_members.blend(0.5)
    assert abs(np.corrcoef(sparse, np.log(noise.train.prices))[0, 1]) < 0.25
    records, prices = noise.train.records, noise.train.prices
    own = baselines(seed=0)["HistGradientBoosting"](records, prices, records)
    assert np.sqrt(np.mean((own - np.log(prices)) ** 2)) < 0.6 * median  # it does memorize, where it may


def test_every_candidate_beats_the_median_and_the_best_stands_first(trained, train_config):
    scores = {name: candidate.metrics["rmsle_mean"] for name, candidate in trained.candidates.items()}
    assert list(scores.values()) == sorted(scores.values())
    assert set(scores) == {*baselines(seed=0), BLEND, LINEAR, TREES}
    for name, candidate in trained.candidates.items():
        assert candidate.name == name
        assert candidate.servable == (name in (BLEND, LINEAR, TREES))
        assert candidate.model.log_prices.shape == trained.split.train.prices.shape
        assert np.isfinite(candidate.model.log_prices).all()
        assert len(candidate.model.fold_rmsle) == train_config.folds
        assert {column.metric for column in COLUMNS} == set(candidate.metrics)
        rule_of_thumb = name.startswith("neighborhood's")
        assert name == "median" or scores[name] < (0.8 if rule_of_thumb else 0.6) * scores["median"]


@pytest.mark.long
def test_the_fold_errors_are_those_of_the_kept_predictions(split, compared):
    weight = QUICK.linear_weight
    mixed = weight * compared[LINEAR].model.log_prices + (1 - weight) * compared[TREES].model.log_prices
    np.testing.assert_allclose(compared[BLEND].model.log_prices, mixed)
    for candidate in compared.values():
        for k, rmsle in enumerate(candidate.model.fold_rmsle):
            rows = split.validation == k
            error = candidate.model.log_prices[rows] - np.log(split.train.prices[rows])
            assert rmsle == pytest.approx(np.sqrt(np.mean(error**2)))


@pytest.mark.long
def test_progress_and_candidates_are_reported_while_it_runs(split):
    events = []
    compared = compare(split, QUICK, threads=1, advance=events.append, log=events.append)
    logged = [event for event in events if not isinstance(event, str)]
    assert len(events) - len(logged) == n_fits(split)
    assert {candidate.name for candidate in logged} == set(compared)
    assert events[:3] == ["median: fold 1", "median: fold 2", "median: fold 3"]
    assert events[3] is compared["median"]  # before the next one is fitted


def test_metrics_are_worked_out_by_hand(sales):
    """Two folds of two houses; one price is predicted at twice what was paid."""
    frame = sales.frame[:4].assign(sale_price=[100.0, 100.0, 200.0, 200.0])
    four = type(sales)(frame, sales.records[:4])
    log_prices = iter(np.log([[100.0, 200.0], [200.0, 200.0]]))
    split = Split(four, np.array([0, 0, 1, 1]), four)
    metrics = cross_validate("next", lambda *_: next(log_prices), split).metrics
    first = np.log(2) / np.sqrt(2)
    assert metrics.pop("fit_seconds") > 0
    assert metrics == pytest.approx({"rmsle_mean": first / 2, "rmsle_sd": first / np.sqrt(2), "mae_mean": 25.0})


def test_the_best_that_can_be_served_is_chosen(compared):
    best = choose(compared)
    assert compared[best].metrics["rmsle_mean"] == min(
        candidate.metrics["rmsle_mean"] for candidate in compared.values() if candidate.servable
    )
    baselines_and_one = {name: candidate for name, candidate in compared.items() if name == TREES or name[0] in "mrl"}
    assert choose(baselines_and_one) == TREES


@pytest.mark.parametrize(("best", "weight"), [(BLEND, QUICK.linear_weight), (LINEAR, 1.0), (TREES, 0.0)])
def test_what_is_chosen_is_what_is_served(best, weight):
    assert chosen_settings(best, QUICK).linear_weight == weight
    assert chosen_settings(best, QUICK).trees == QUICK.trees


def test_the_baselines_read_the_files_own_columns_only(sales):
    """Every code has a column, numbers are as in the file, and no derived feature is among them."""
    matrix = plain_matrix(sales.records, fit_typical(sales.records))
    codes = sum(len(column.choices) for column in columns().values() if column.kind == "category")
    others = sum(column.kind != "category" for column in columns().values())
    assert matrix.shape == (N, codes + others)
    one_hot = matrix[:, others:]
    assert set(np.unique(one_hot)) == {0.0, 1.0}
    assert (one_hot.sum(axis=1) == sum(column.kind == "category" for column in columns().values())).all()
    np.testing.assert_array_equal(matrix[:, 1], sales.frame["lot_area"])
