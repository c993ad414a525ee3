"""One permutation test of many columns, which no library has: the rows of window and reference are dealt anew.

A window drawn from the reference alone would take the reference for the whole population; it is a sample as well. Rows
are dealt whole, so that columns that hang together stay together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = NDArray[np.float64] | NDArray[np.str_]

PILOT = 256  # permutations that the scale of each column is taken from
BLOCK = 128  # permutations at a time: what they need fits into the cache
EXCEEDANCES = 5  # more cost time, and find a little more of what is close to the level
TIE = 1e-9  # sums of other order differ by less


def is_missing(values: Values) -> NDArray[np.bool_]:
    """Return which numbers are NaN or which texts are empty, shape (n,)."""
    return np.isnan(values) if values.dtype.kind == "f" else values == ""


@dataclass(frozen=True)
class Pooled:
    """A column of the window, followed by that of the reference.

    Attributes
    ----------
    ordered
        Whether its values are numbers.
    levels
        One-hot, int16 (n_levels, n_rows): which rows have each distinct value, in ascending order.
    window
        Values given in the window.
    missing
        Rows without a value.
    """

    ordered: bool
    levels: sp.csr_array
    window: int
    missing: NDArray[np.int64]

    @classmethod
    def of(cls, window: Values, reference: Values) -> "Pooled":
        """Pool a column of fewer than 2^15 rows in all, of which at least one on each side has a value."""
        values = np.concatenate([window, reference])
        missing = is_missing(values)
        given = np.flatnonzero(~missing)
        given = given[np.argsort(values[given], kind="stable")]
        starts = np.flatnonzero(np.append(True, values[given[1:]] != values[given[:-1]]))
        ones, bounds = np.ones(len(given), dtype=np.int16), np.append(starts, len(given))
        levels = sp.csr_array((ones, given, bounds), shape=(len(starts), len(values)))
        n = int((~missing[: len(window)]).sum())
        return cls(values.dtype.kind == "f", levels, n, np.flatnonzero(missing))

    @property
    def totals(self) -> NDArray[np.int64]:
        """Rows of each level, shape (n_levels,)."""
        return np.asarray(np.diff(self.levels.indptr), dtype=np.int64)

    def dealt(self, positions: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return 1 for the first `window` rows that have a value, in the order of the positions, 0 for others.

        Parameters
        ----------
        positions
            Place of each row in each permutation, (n_rows, n_permutations).
        """
        if not len(self.missing):
            return np.asarray(positions < self.window, dtype=np.int16)
        before = np.sort(positions[self.missing], axis=0) - np.arange(len(self.missing))[:, None]
        return np.asarray(positions < self.window + (before < self.window).sum(axis=0), dtype=np.int16)

    def statistic(self, dealt: NDArray[np.int16]) -> Floats:
        """Return Kolmogorov-Smirnov's of numbers or Pearson's chi-squared of texts, shape (n_permutations,).

        Chi-squared sees a category that is new in few rows; the total variation distance drowns it in the noise of
        the others.
        """
        n, totals = self.window, self.totals.astype(np.int32)[:, None]
        N = int(totals.sum())
        counts = self.levels @ dealt  # (n_levels, n_permutations)
        if self.ordered:
            gaps = np.cumsum(counts, axis=0, dtype=np.int32)
            gaps *= N
            gaps -= np.cumsum(totals, axis=0, dtype=np.int32) * n
            return np.asarray(np.abs(gaps, out=gaps).max(axis=0) / (n * (N - n)))
        surplus = (counts.astype(np.int32) * N - totals * n).astype(np.float64)
        return np.asarray((surplus**2 / totals).sum(axis=0) / (n * (N - n)))


def permutation_test(columns: Sequence[Pooled], *, alpha: float, rng: np.random.Generator) -> tuple[float, Floats]:
    """Return the p-value of the largest score over columns, and the scores, shape (n_columns,).

    The permutations stop at the fifth score that is as large as that of the window (Besag and Clifford 1991,
    "Sequential Monte Carlo p-values", Biometrika 78), and at the latest when fewer have shown that p <= alpha: to stop
    early never changes that decision. A score is a statistic as a standard normal, by the mean, the standard deviation
    and the skewness of other permutations: they do not know the window from the reference, so p is exact.
    """
    n_rows = columns[0].levels.shape[1]
    pilot = _statistics(columns, _permutations(n_rows, PILOT, rng))
    scale = _moments(pilot)
    z = _scores(_statistics(columns, np.arange(n_rows, dtype=np.int16)[:, None]), *scale)[:, 0]
    most, done, exceeded = math.ceil(EXCEEDANCES / alpha) - 1, 0, 0
    while done < most:
        block = _permutations(n_rows, min(BLOCK, most - done), rng)
        larger = _scores(_statistics(columns, block), *scale).max(axis=0) >= z.max() - TIE
        if exceeded + larger.sum() >= EXCEEDANCES:
            last = int(np.flatnonzero(larger)[EXCEEDANCES - exceeded - 1])
            return EXCEEDANCES / (done + last + 1), z
        done, exceeded = done + len(larger), exceeded + int(larger.sum())
    return (exceeded + 1) / (most + 1), z


def _permutations(n_rows: int, n: int, rng: np.random.Generator) -> NDArray[np.int16]:
    rows = np.broadcast_to(np.arange(n_rows, dtype=np.int16), (n, n_rows))
    return np.ascontiguousarray(rng.permuted(rows, axis=1).T)


def _statistics(columns: Sequence[Pooled], positions: NDArray[np.int16]) -> Floats:
    """Return the statistic of each column in each permutation; columns with the same rows missing share the dealing."""
    dealt: dict[tuple[int, bytes], NDArray[np.int16]] = {}
    statistics = np.empty((len(columns), positions.shape[1]))
    for row, column in zip(statistics, columns, strict=True):
        key = column.window, column.missing.tobytes()
        if key not in dealt:
            dealt[key] = column.dealt(positions)
        row[:] = column.statistic(dealt[key])
    return statistics


def _moments(statistics: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, standard deviation and skewness of each column, (n_columns, 1); a constant deviates endlessly."""
    mean, deviation = statistics.mean(axis=1, keepdims=True), statistics.std(axis=1, keepdims=True)
    deviation[deviation < TIE] = np.inf
    return mean, deviation, (((statistics - mean) / deviation) ** 3).mean(axis=1, keepdims=True)


def _scores(statistics: Floats, mean: Floats, deviation: Floats, skewness: Floats) -> Floats:
    """Return statistics as standard normal scores: gamma distributions by the cube root (Wilson and Hilferty 1931)."""
    shape = 4 / np.maximum(skewness, 0.1) ** 2
    ratio = 1 + (statistics - mean) / (deviation * np.sqrt(shape))
    return 3 * np.sqrt(shape) * (np.cbrt(np.maximum(ratio, 0)) - 1 + 1 / (9 * shape))
