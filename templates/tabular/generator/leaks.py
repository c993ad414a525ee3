"""Columns that give the target away: they would make a model that looks perfect, and knows nothing beforehand."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from infer import FEW_VALUES, LEAST_ROWS, Inferred, is_missing, known_number
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_CODES = 50
GIVEN_AWAY = 0.98  # of the errors of whoever always says the most frequent class
LEAST_ERRORS = 10  # of his: a column that spares fewer may do so by chance


def find_leaks(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Leave out columns that say the target itself: its class, its order, or a part of the sum that it is."""
    if found.target["kind"] == "category":
        find_in_classes(found, table)
    else:
        find_in_numbers(found, table)
    found.columns = {name: column for name, column in found.columns.items() if column["heading"] not in found.leaks}
    found.left_out |= found.leaks


def find_in_classes(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Find columns whose codes, gaps or values say the class of nearly every row that has not the most frequent one."""
    usable = [not is_missing(cell) for cell in table[found.target["heading"]]]
    truth = np.array(table[found.target["heading"]])[usable]
    for column in found.columns.values():
        cells = np.array(table[column["heading"]])[usable]
        gaps = np.array([is_missing(cell) for cell in cells])
        values = as_numbers(cells.tolist(), found.decimal) if column["kind"] == "number" else None
        if spared_by_codes(gaps, truth) > GIVEN_AWAY:
            found.leaks[column["heading"]] = "where it is missing says the class itself"
        elif spared_by_codes(cells, truth) > GIVEN_AWAY or (
            values is not None and spared_by_cuts(values[~gaps], truth[~gaps]) > GIVEN_AWAY
        ):
            found.leaks[column["heading"]] = "it says the class itself"


def spared_by_codes(codes: NDArray[np.generic], truth: NDArray[np.str_]) -> float:
    """Return the share of errors that knowing the code spares; 0 for a column of many codes."""
    errors = len(truth) - max(Counter(truth.tolist()).values())
    counts: dict[object, Counter[str]] = {}
    for code, label in zip(codes.tolist(), truth.tolist(), strict=True):
        counts.setdefault(code, Counter())[label] += 1
    if errors < LEAST_ERRORS or len(counts) > MOST_CODES:
        return 0.0
    return 1 - (len(truth) - sum(max(each.values()) for each in counts.values())) / errors


def spared_by_cuts(values: Floats, truth: NDArray[np.str_]) -> float:
    """Return the share of errors that knowing a number spares, if a cut of it stands between each two classes."""
    classes, labels = np.unique(truth, return_inverse=True)
    errors = len(truth) - int(np.bincount(labels).max(initial=0))
    if errors < LEAST_ERRORS:
        return 0.0
    order = np.argsort([np.nanmedian(values[labels == label]) for label in range(len(classes))])
    ranks, by_value = np.argsort(order)[labels], np.argsort(values, kind="stable")
    ends = np.append(np.diff(values[by_value]) != 0, True)  # a cut stands between two values, never within one
    left = 0
    for rank in range(len(classes) - 1):
        above = ranks[by_value] > rank
        wrong = np.cumsum(above) + (~above).sum() - np.cumsum(~above)
        left += int(wrong[ends].min())
    return 1 - left / errors


def find_in_numbers(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Find numbers that have the order of a target that is one, or whose sum it is."""
    target = as_numbers(table[found.target["heading"]], found.decimal)
    numbers = {
        name: as_numbers(table[column["heading"]], found.decimal)
        for name, column in found.columns.items()
        if column["kind"] == "number"
    }
    for name, column in numbers.items():
        if same_order(column, target) > 0.999:
            found.leaks[found.columns[name]["heading"]] = "it says the target itself"
    for name in parts_of_a_sum(numbers, target):
        found.leaks.setdefault(found.columns[name]["heading"], "the target is a sum of it and of others")


def _float(cell: str, decimal: str) -> float:
    number = None if is_missing(cell) else known_number(cell, decimal)
    return float("nan") if number is None else number


def as_numbers(cells: Sequence[str], decimal: str) -> Floats:
    """Return cells as numbers, NaN for what is none."""
    return np.array([_float(cell, decimal) for cell in cells])


def same_order(x: Floats, y: Floats) -> float:
    """Return the absolute rank correlation of two columns where both are known."""
    both = ~np.isnan(x) & ~np.isnan(y)
    if both.sum() < LEAST_ROWS:
        return 0.0
    ranks = [np.unique(values[both], return_inverse=True)[1] for values in (x, y)]
    if min(rank.max() for rank in ranks) == 0:
        return 0.0
    return float(abs(np.corrcoef(ranks[0], ranks[1])[0, 1])) if len(np.unique(x[both])) > FEW_VALUES else 0.0


def parts_of_a_sum(numbers: dict[str, Floats], target: Floats) -> list[str]:
    """Return the columns of which the target is a weighted sum, to four decimals of its variance; none if it is not."""
    if not numbers:
        return []
    x = np.array(list(numbers.values())).T
    whole = ~np.isnan(x).any(axis=1) & ~np.isnan(target)
    if whole.sum() < max(LEAST_ROWS, 10 * x.shape[1]):
        return []
    x, y = x[whole] - x[whole].mean(axis=0), target[whole] - target[whole].mean()
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    if y.var() == 0 or (y - x @ weights).var() > 1e-4 * y.var():
        return []
    shares = np.abs(weights) * x.std(axis=0) / y.std()
    return [name for name, share in zip(numbers, shares, strict=True) if share > 0.05]
