"""The permutation test: statistics against SciPy, rows dealt as promised, scores close to normal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from portfolio_shared.operations.permutations import Pooled, permutation_test

side = st.lists(st.sampled_from("abcd"), min_size=3, max_size=30)


@settings(max_examples=50, deadline=None)
@given(side, side)
def test_the_statistics_of_any_dealing_are_those_of_scipy(window, reference):
    """Ties, one row, one level; the second dealing takes the last rows for the window."""
    n = len(window) + len(reference)
    positions = np.stack([np.arange(n), np.arange(n)[::-1]], axis=1).astype(np.int16)
    texts = Pooled.of(np.array(window), np.array(reference))
    numbers = Pooled.of(*(np.array([float(ord(letter)) for letter in part]) for part in (window, reference)))

    rows = np.array(window + reference)
    for k, order in enumerate((rows, rows[::-1])):
        dealt, rest = order[: len(window)], order[len(window) :]
        table = [[(part == letter).sum() for letter in np.unique(rows)] for part in (dealt, rest)]
        chi_squared = stats.chi2_contingency(table, correction=False).statistic
        assert texts.statistic(texts.dealt(positions))[k] == pytest.approx(chi_squared, abs=1e-9)
        distance = stats.ks_2samp(
            *([ord(letter) for letter in part] for part in (dealt, rest)), method="asymp"
        ).statistic
        assert numbers.statistic(numbers.dealt(positions))[k] == pytest.approx(distance, abs=1e-12)


def test_the_window_is_the_first_rows_that_have_a_value():
    column = Pooled.of(np.array([1.0, np.nan, 2.0]), np.array([np.nan, 3.0, 4.0]))
    first, second = [0, 1, 2, 3, 4, 5], [5, 0, 4, 1, 2, 3]  # places of the rows in two permutations
    positions = np.array([first, second], dtype=np.int16).T

    given_rows = ~np.isin(np.arange(6), column.missing)
    dealt = (column.dealt(positions) == 1) & given_rows[:, None]
    assert column.window == 2
    assert [np.flatnonzero(each).tolist() for each in dealt.T] == [[0, 2], [4, 5]]


def test_every_row_is_dealt_to_the_window_equally_often_and_with_its_other_columns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    same = [Pooled.of(x[:20], x[20:]), Pooled.of(-x[:20], -x[20:])]
    positions = np.argsort(rng.random((60, 4000)), axis=0).astype(np.int16)

    dealt = same[0].dealt(positions)
    assert (dealt.sum(axis=0) == 20).all()
    assert dealt.mean(axis=1) == pytest.approx(np.full(60, 1 / 3), abs=5 * np.sqrt(2 / 9 / 4000))
    np.testing.assert_array_equal(*(column.statistic(column.dealt(positions)) for column in same))


def test_a_score_is_read_like_a_standard_normal_whatever_the_column():
    """A column that is nearly constant does not drown the others."""
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(80):
        x, rare, kinds = rng.normal(size=600), rng.random(600) < 0.01, rng.integers(0, 12, 600).astype(str)
        columns = [Pooled.of(v[:100], v[100:]) for v in (x, np.where(rare, "a", "b"), kinds, np.ones(600))]
        scores.append(permutation_test(columns, alpha=0.5, rng=rng)[1])

    z = np.array(scores)
    assert np.abs(z.mean(axis=0)).max() < 0.4
    assert z[:, [0, 2]].std(axis=0) == pytest.approx(np.ones(2), abs=0.25)
    assert np.abs(z[:, 3]).max() < 0.1
    assert z.max() < 4
