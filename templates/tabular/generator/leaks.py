"""Columns that give the target away: they would make a model that looks perfect, and knows nothing beforehand."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from infer import FEW_VALUES, LEAST_ROWS, Inferred, is_missing, known_number
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_CODES = 50


def find_leaks(found: Inferred, table: Mapping[str, Sequence[str]]) -> None:
    """Leave out columns that say the target itself: those that have its order, and those whose sum it is."""
    if found.target["kind"] == "category":
        for column in found.columns.values():
            if purity(table[column["heading"]], table[found.target["heading"]]) > 0.999:
                found.leaks[column["heading"]] = "it says the class itself"
    else:
        find_in_numbers(found, table)
    found.columns = {name: column for name, column in found.columns.items() if column["heading"] not in found.leaks}
    found.left_out |= found.leaks


def purity(cells: Sequence[str], target: Sequence[str]) -> float:
    """Return the share of rows whose class is the most frequent one of their code; 0 for a column of many codes."""
    counts: dict[str, Counter[str]] = {}
    for cell, truth in zip(cells, target, strict=True):
        counts.setdefault(cell, Counter())[truth] += 1
    return sum(max(each.values()) for each in counts.values()) / len(cells) if len(counts) <= MOST_CODES else 0.0


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
    return float(abs(np.corrcoef(*ranks)[0, 1])) if len(np.unique(x[both])) > FEW_VALUES else 0.0


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
