"""Splits that do not leak and do not move."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_shared.data.splits import group_folds, hash_split, split_digest

KEYS = st.lists(st.text(max_size=5), min_size=1, max_size=60)
SEEDS = st.integers(-5, 5)


def test_the_side_is_the_documented_function_of_seed_and_key():
    keys = [f"house {i}" for i in range(200)]
    expected = [int(hashlib.sha256(f"7:{key}".encode()).hexdigest()[:16], 16) / 2**64 < 0.2 for key in keys]
    assert hash_split(keys, test_fraction=0.2, seed=7).tolist() == expected


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_the_test_side_has_about_its_share(fraction):
    n = 20_000
    share = hash_split([str(i) for i in range(n)], test_fraction=fraction, seed=0).mean()
    assert abs(share - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / n)


@given(KEYS, SEEDS, st.randoms())
def test_order_does_not_matter(keys, seed, random):
    sides = dict(zip(keys, hash_split(keys, test_fraction=0.4, seed=seed).tolist(), strict=True))
    shuffled = random.sample(keys, len(keys))
    assert hash_split(shuffled, test_fraction=0.4, seed=seed).tolist() == [sides[key] for key in shuffled]


@given(KEYS, SEEDS)
def test_equal_keys_are_on_one_side(keys, seed):
    twice = hash_split(keys + keys, test_fraction=0.4, seed=seed)
    assert twice[: len(keys)].tolist() == twice[len(keys) :].tolist()
    test = {key for key, side in zip(keys, twice, strict=False) if side}
    train = {key for key, side in zip(keys, twice, strict=False) if not side}
    assert not test & train


@given(KEYS, KEYS, SEEDS)
def test_new_rows_move_no_old_ones(old, new, seed):
    before = hash_split(old, test_fraction=0.4, seed=seed)
    assert hash_split(new + old, test_fraction=0.4, seed=seed)[len(new) :].tolist() == before.tolist()


def test_the_digest_is_that_of_sorted_distinct_keys():
    assert split_digest(["b", "a", "b"]) == hashlib.sha256(b"a\nb").hexdigest()


GROUPS = st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60).map(lambda rows: [*rows, "x", "y", "z"])


@given(GROUPS, st.integers(2, 4), SEEDS)
def test_groups_stay_together_and_every_fold_is_used(groups, n_folds, seed):
    folds = group_folds(groups, n_folds=n_folds, seed=seed)
    assert folds.dtype == np.int64
    assert set(folds.tolist()) == set(range(n_folds))
    assert all(len(set(folds[np.array(groups) == group].tolist())) == 1 for group in set(groups))


@given(GROUPS, st.integers(2, 4), SEEDS, st.randoms())
def test_folds_do_not_depend_on_the_order(groups, n_folds, seed, random):
    order = random.sample(range(len(groups)), len(groups))
    folds = group_folds(groups, n_folds=n_folds, seed=seed)
    shuffled = group_folds([groups[i] for i in order], n_folds=n_folds, seed=seed)
    assert shuffled.tolist() == folds[order].tolist()


@pytest.mark.long
@given(GROUPS, st.integers(2, 4), SEEDS)
def test_folds_differ_by_no_more_than_the_largest_group(groups, n_folds, seed):
    sizes = np.bincount(group_folds(groups, n_folds=n_folds, seed=seed), minlength=n_folds)
    assert sizes.max() - sizes.min() <= max(Counter(groups).values())


def test_rows_without_groups_give_folds_of_one_size_which_the_seed_decides():
    first, second = (group_folds([str(i) for i in range(23)], n_folds=5, seed=seed) for seed in (0, 1))
    assert sorted(np.bincount(first).tolist()) == [4, 4, 5, 5, 5]
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"test_fraction must lie between 0 and 1, not"):
        hash_split(["a"], test_fraction=fraction, seed=0)


@pytest.mark.parametrize("n_folds", [1, 0, 4])
def test_folds_without_groups_are_refused(n_folds):
    with pytest.raises(ValueError, match=rf"between 2 and the number of groups \(3\), not {n_folds}"):
        group_folds(["a", "b", "c", "a"], n_folds=n_folds, seed=0)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ([], ValueError, "at least one key"),
        ("abc", ValueError, "sequence of strings, not 'abc'"),
        (["a", 7], TypeError, "key 1 is 7, not a string"),
        ([None], TypeError, "key 0 is None"),
    ],
)
def test_keys_that_are_no_list_of_strings_are_refused(keys, error, message):
    with pytest.raises(error, match=message):
        hash_split(keys, test_fraction=0.5, seed=0)
    with pytest.raises(error, match=message):
        split_digest(keys)
    with pytest.raises(error, match=message):
        group_folds(keys, n_folds=2, seed=0)
