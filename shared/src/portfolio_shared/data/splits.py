"""Splits that depend on what a row is, not on where it stands in a file."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def hash_split(keys: Sequence[str], *, test_fraction: float, seed: int) -> NDArray[np.bool_]:
    """Assign each row to the test side by a hash of its key.

    The side of a row depends on its key and the seed alone: new rows and another order move no old row, and rows
    with equal keys are on one side, so a duplicate cannot straddle the split.

    Parameters
    ----------
    keys
        One key per row. A number must be written as text by one rule: 7 and 7.0 may be on two sides.
    test_fraction
        Expected share of the keys on the test side, between 0 and 1. The actual share varies around it, by
        about ``sqrt(test_fraction * (1 - test_fraction) / number of distinct keys)``.
    seed
        Another seed gives another, independent split.

    Returns
    -------
    ndarray of bool, shape (n_rows,), True for test rows

    Examples
    --------
    >>> hash_split(["ann", "bob", "cem", "ann"], test_fraction=0.5, seed=2)
    array([False,  True,  True, False])
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, not {test_fraction}")
    _check_keys(keys)
    return np.array([_unit_hash(key, seed) < test_fraction for key in keys], dtype=np.bool_)


def split_digest(keys: Sequence[str]) -> str:
    """Return a SHA-256 that names a set of rows: of the sorted distinct keys, joined by newlines.

    Two models whose test splits have the same digest were tested on the same rows.

    Examples
    --------
    >>> split_digest(["b", "a", "b"]) == split_digest(["a", "b"])
    True
    """
    _check_keys(keys)
    return hashlib.sha256("\n".join(sorted(set(keys))).encode()).hexdigest()


def group_folds(groups: Sequence[str], *, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Assign each row to one of `n_folds` cross-validation folds; rows of one group share a fold.

    Groups are dealt out from the largest to the smallest, each into the fold with the fewest rows so far, so the
    folds are about equally large. The result does not depend on the order of the rows; the seed decides how
    groups of one size are dealt. Unlike `hash_split`, new rows may move old ones.

    Parameters
    ----------
    groups
        One group name per row; at least `n_folds` distinct ones.
    n_folds
        At least 2.

    Returns
    -------
    ndarray of int64, shape (n_rows,), from 0 to ``n_folds - 1``

    Examples
    --------
    >>> group_folds(["a", "b", "a", "c", "c"], n_folds=2, seed=0)
    array([0, 0, 0, 1, 1])
    """
    _check_keys(groups)
    sizes = Counter(groups)
    if not 2 <= n_folds <= len(sizes):
        raise ValueError(f"n_folds must lie between 2 and the number of groups ({len(sizes)}), not {n_folds}")
    fold_of: dict[str, int] = {}
    rows_in = [0] * n_folds
    for group in sorted(sizes, key=lambda name: (-sizes[name], _unit_hash(name, seed), name)):
        smallest = rows_in.index(min(rows_in))
        fold_of[group] = smallest
        rows_in[smallest] += sizes[group]
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _check_keys(keys: Sequence[str]) -> None:
    if isinstance(keys, str) or len(keys) == 0:
        raise ValueError(f"expected at least one key in a sequence of strings, not {keys!r}")
    for position, key in enumerate(keys):
        # A number that is read as 7 in one place and as 7.0 in another would change sides.
        if not isinstance(key, str):
            raise TypeError(f"key {position} is {key!r}, not a string")


def _unit_hash(key: str, seed: int) -> float:
    return int(hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()[:16], 16) / 2**64
