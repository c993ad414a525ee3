"""Drift: sizes against SciPy and by hand, false alarms as often as stated, obvious drifts found, bad input named."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from portfolio_shared.operations import permutations
from portfolio_shared.operations.drift import MAX_ROWS, alpha_of, drift

LETTERS = np.array(list("abcdefgh"))
numbers = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6), min_size=100, max_size=120)
texts = st.lists(st.sampled_from("abcd"), min_size=100, max_size=120)


def sales(rng, n, *, unknown=0.2):
    """Rows of one population: ties, text, rare values, columns that hang together, missing values.

    Large houses often have no price; on top, a share `unknown` of price and kind is left out by chance.
    """
    size = rng.normal(size=n)
    price = size + rng.normal(0, 0.3, n)
    price[(rng.random(n) < 0.3) & (size > 0) | (rng.random(n) < unknown)] = np.nan
    kind = LETTERS[np.clip(np.round(size + 3), 0, 7).astype(int)].astype("U8")
    kind[rng.random(n) < unknown] = ""
    rare = np.where(rng.random(n) < 0.01, "rare", "usual")
    return {"size": size, "rooms": np.round(size), "price": price, "kind": kind, "rare": rare, "one": np.ones(n)}


def one(reference, window, **settings):
    """Return how far apart two columns are."""
    return drift({"x": np.array(reference)}, {"x": np.array(window)}, **{"alpha": 0.5, **settings}).columns[0]


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(numbers, numbers)
def test_numbers_are_compared_as_scipy_does_on_both_sides_of_ties(reference, window):
    column = one(reference, window)

    assert column.kind == "number"
    assert column.statistic == pytest.approx(stats.ks_2samp(reference, window, method="asymp").statistic, abs=1e-12)
    expected = stats.wasserstein_distance(reference, window) / np.std(reference) if np.std(reference) else None
    assert column.wasserstein == (pytest.approx(expected) if expected is not None else None)


@settings(max_examples=40, deadline=None)
@given(texts, texts)
def test_texts_differ_by_the_share_that_would_have_to_change(reference, window):
    column = one(reference, window)

    changes = [reference.count(text) / len(reference) - window.count(text) / len(window) for text in "abcd"]
    assert (column.kind, column.wasserstein) == ("text", None)
    assert column.statistic == pytest.approx(sum(max(change, 0) for change in changes), abs=1e-12)


def test_psi_is_over_the_deciles_of_the_reference_and_an_empty_bin_holds_half_a_row():
    reference = np.arange(1000.0)  # ten bins of 100
    window = np.concatenate([np.linspace(0, 99, 60), np.linspace(900, 999, 140)])
    p, q = 0.1, np.array([0.3, 0.7, *[0.5 / 200] * 8])
    assert one(reference, window).psi == pytest.approx(((q - p) * np.log(q / p)).sum())

    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    assert one(["a", "b"] * 50, ["a", "b", "b", "b"] * 25).psi == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert one([1.0] * 100, [1.0] * 100).psi == 0


def test_a_permutation_as_extreme_as_the_window_counts_against_a_drift():
    assert drift({"x": np.ones(200)}, {"x": np.ones(100)}, alpha=0.01).p == 1
    once = np.append(np.zeros(99), 1.0)  # as likely in any row
    assert drift({"x": np.zeros(100)}, {"x": once}, alpha=0.01).p > 0.1


def looks(n, *, alpha, rows=100, known=200):
    """Return the p-values of windows without drift; in the window more is unknown than in the reference."""
    rng = np.random.default_rng(7)
    drawn = [(sales(rng, known), sales(rng, rows, unknown=0.5)) for _ in range(n)]
    return np.array([drift(*pair, alpha=alpha, seed=seed).p for seed, pair in enumerate(drawn)])


def usual(successes, n, p):
    """Whether so many successes are among the middle 99.8 % of n tries of probability p."""
    return stats.binom.ppf(0.001, n, p) <= successes <= stats.binom.ppf(0.999, n, p)


def test_undrifted_windows_alarm_as_often_as_stated():
    p = looks(60, alpha=0.2)

    assert usual((p <= 0.2).sum(), 60, 0.2)
    assert usual((p <= 0.5).sum(), 60, 0.5)


@pytest.mark.long
def test_p_is_uniform_without_drift():
    p = looks(500, alpha=0.01)

    for level in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5):
        assert usual((p <= level).sum(), 500, level), level


@pytest.mark.long
def test_a_window_drawn_from_the_reference_alone_would_raise_false_alarms():
    """At 2,000 rows each: the reference is a sample too."""
    rng, n = np.random.default_rng(3), 2000
    ours = naive = 0
    for seed in range(40):
        reference, window = rng.normal(size=(2, n))
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=200)  # how often each row of the reference is drawn
        resampled = np.abs(np.cumsum(drawn - 1, axis=1)).max(axis=1) / n
        naive += np.mean(resampled >= stats.ks_2samp(reference, window, method="asymp").statistic) <= 0.1
        ours += drift({"x": reference}, {"x": window}, alpha=0.1, seed=seed).alarm

    assert usual(ours, 40, 0.1)
    assert naive > stats.binom.ppf(0.9999, 40, 0.1)


def shifted(window):
    return {**window, "size": window["size"] + 1}


def with_new_kind(window):
    return {**window, "kind": np.where(np.arange(len(window["kind"])) % 10 == 0, "new", window["kind"])}


def with_rare_in_all(window):
    return {**window, "rare": np.where(np.arange(len(window["rare"])) % 10 == 0, "rare", window["rare"])}


@pytest.mark.parametrize(("change", "column"), [(shifted, "size"), (with_new_kind, "kind"), (with_rare_in_all, "rare")])
def test_an_obvious_drift_is_found_and_its_column_named_first(change, column):
    rng = np.random.default_rng(1)
    reference, window = sales(rng, 1000), sales(rng, 200)

    found = drift(reference, change(window), alpha=0.01)
    assert (found.p, found.rows, found.alarm) == (pytest.approx(1 / 500), 200, True)
    assert found.columns[0].name == column
    assert [each.z for each in found.columns] == sorted((each.z for each in found.columns), reverse=True)
    assert not drift(reference, window, alpha=0.01).alarm


@pytest.mark.parametrize("shift", [0.0, 0.18, 0.22, 0.26, 0.3, 0.6])
def test_to_stop_early_changes_no_decision(monkeypatch, shift):
    rng = np.random.default_rng(5)
    reference, window = {"x": rng.normal(size=500)}, {"x": rng.normal(shift, 1, 300)}
    early = drift(reference, window, alpha=0.005)
    monkeypatch.setattr(permutations, "EXCEEDANCES", 1000)
    late = drift(reference, window, alpha=1.0)  # the same 999 permutations, all of them

    assert early.alarm == (late.p <= 0.005)
    low, high = stats.gamma.ppf([0.001, 0.999], 5)  # of the permutations until the fifth, times p
    assert 5 / high <= early.p / late.p <= 5 / low


def test_missing_shares_are_reported_and_not_tested():
    rng = np.random.default_rng(2)
    reference, window = sales(rng, 500, unknown=0), sales(rng, 200, unknown=0)
    window["kind"][:120] = ""
    window["price"][:190] = np.nan

    found = drift(reference, window, alpha=0.01)
    columns = {column.name: column for column in found.columns}
    assert found.p > 0.01
    assert (columns["kind"].rows, columns["kind"].missing, columns["kind"].reference_missing) == (80, 0.6, 0)
    (price,) = found.not_compared
    assert (price.name, price.rows, price.missing) == ("price", 10, 0.95)
    assert np.isnan([price.statistic, price.z, price.psi]).all()
    assert price.wasserstein is None


def test_the_seed_decides_and_nothing_else():
    rng = np.random.default_rng(4)
    reference, window = sales(rng, 300), sales(rng, 100)
    first = drift(reference, window, alpha=0.1, seed=1)

    assert asdict(drift(reference, window, alpha=0.1, seed=1)) == asdict(first)
    assert drift(reference, window, alpha=0.1, seed=2).p != first.p


def test_of_a_long_window_some_rows_are_compared_and_all_counted():
    window = np.concatenate([np.zeros(MAX_ROWS), np.ones(MAX_ROWS)])
    found = drift({"x": np.tile([0.0, 1.0], 100)}, {"x": window}, alpha=0.5)

    assert (found.rows, found.columns[0].rows) == (2 * MAX_ROWS, MAX_ROWS)
    assert 0 < found.columns[0].statistic < 0.02


@pytest.mark.parametrize(
    ("reference", "window", "message"),
    [
        ({"x": np.zeros(9), "y": np.zeros(9)}, {"x": np.zeros(100)}, r"y \(only in the reference\)"),
        ({"x": np.zeros(9)}, {"x": np.zeros(100), "z": np.zeros(100)}, r"z \(only in the window\)"),
        ({"x": np.zeros(9)}, {"x": np.full(100, "a")}, "both sides of x, found float64 and <U1"),
        ({"x": np.zeros(9, dtype=int)}, {"x": np.zeros(100, dtype=int)}, "both sides of x, found int64"),
        ({"x": np.zeros(9)}, {"x": np.full(100, np.inf)}, "finite numbers in x"),
        ({"x": np.zeros(99)}, {"x": np.zeros(99)}, "at least 100 rows, found 99"),
        ({"x": np.zeros(99), "y": np.zeros(98)}, {"x": np.zeros(100), "y": np.zeros(100)}, "of one length"),
        ({"x": np.zeros(19)}, {"x": np.zeros(100)}, "a column with 20 values"),
        ({}, {}, "of one length"),
    ],
)
def test_what_cannot_be_compared_is_named(reference, window, message):
    with pytest.raises(ValueError, match=message):
        drift(reference, window, alpha=0.1)


def test_the_budget_of_a_month_is_shared_by_projects_and_looks():
    assert alpha_of(1, projects=3, looks_per_month=730) == pytest.approx(1 / 2190)
    assert alpha_of(1, projects=1, looks_per_month=1) == 0.5
    for budget, projects, looks in ((0, 3, 730), (1, 0, 730), (1, 3, 0)):
        with pytest.raises(ValueError, match="above 0"):
            alpha_of(budget, projects, looks)
