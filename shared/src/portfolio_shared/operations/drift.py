"""Has what a model is asked changed since it was trained? One test for a whole window, beside sizes for each column."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from portfolio_shared.operations.permutations import Pooled, Values, is_missing, permutation_test
from portfolio_shared.operations.watch import Columns

MIN_ROWS = 100
MIN_GIVEN = 20
MAX_ROWS = 10_000
"""Of a longer window, so many rows are drawn by chance: a reference of 2,000 does not tell more apart."""


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column of a window is from the same column of the reference.

    Attributes
    ----------
    name
        Of the column.
    kind
        `number` or `text`.
    rows
        Values given in the window.
    statistic
        In [0, 1]: the Kolmogorov-Smirnov statistic of numbers, the total variation distance of texts, which is the
        share of rows that would have to change. NaN, as are the next two, for a column that is not compared.
    z
        What is tested, as a standard normal score: the Kolmogorov-Smirnov statistic, or Pearson's chi-squared of texts.
    psi
        Population stability index over the reference's deciles, or over the texts; an empty bin holds half a row.
    wasserstein
        Distance in standard deviations of the reference's numbers; none for texts and where the reference is constant.
    missing, reference_missing
        Share of rows in [0, 1] that have no value.
    """

    name: str
    kind: Literal["number", "text"]
    rows: int
    statistic: float
    z: float
    psi: float
    wasserstein: float | None
    missing: float
    reference_missing: float


@dataclass(frozen=True)
class Drift:
    """What one look at a window found.

    Attributes
    ----------
    p
        Chance of a largest z as large as this one, if window and reference are rows of one population.
    alpha
        Level of this look: of undrifted windows, a share of `alpha` has p <= `alpha`.
    rows
        Rows of the window.
    columns
        The compared columns, largest z first.
    not_compared
        Columns with fewer than `MIN_GIVEN` values in the window or in the reference.
    """

    p: float
    alpha: float
    rows: int
    columns: tuple[ColumnDrift, ...]
    not_compared: tuple[ColumnDrift, ...]

    @property
    def alarm(self) -> bool:
        """Whether the window is called drifted."""
        return self.p <= self.alpha


def alpha_of(budget_per_month: float, projects: int, looks_per_month: float) -> float:
    """Level of one look, so that all projects together raise so many false alarms a month on average.

    Windows of looks may overlap: expectations add up all the same.

    >>> round(alpha_of(1, projects=3, looks_per_month=730), 6)
    0.000457
    """
    if min(budget_per_month, projects, looks_per_month) <= 0:
        raise ValueError("expected a budget, projects and looks above 0")
    return min(budget_per_month / (projects * looks_per_month), 0.5)


def drift(reference: Columns, window: Columns, *, alpha: float, seed: int = 0) -> Drift:
    """Compare a window with the reference by one permutation test, `permutations.permutation_test`.

    Missing shares are reported, not tested.

    Raises
    ------
    ValueError
        If a column is on one side only or of another kind there, holds an infinite number, if the window has fewer
        than `MIN_ROWS` rows, or if no column can be compared.
    """
    n_reference, n_window = _check(reference, window)
    rng = np.random.default_rng(seed)
    old, new = _draw(reference, n_reference, rng), _draw(window, n_window, rng)
    given = {name: min((~is_missing(side[name])).sum() for side in (old, new)) for name in old}
    compared = [name for name, n in given.items() if n >= MIN_GIVEN]
    if not compared:
        raise ValueError(f"expected a column with {MIN_GIVEN} values in window and reference, found none")
    p, scores = permutation_test([Pooled.of(new[name], old[name]) for name in compared], alpha=alpha, rng=rng)
    z = dict(zip(compared, map(float, scores), strict=True))
    columns = [_column(name, old[name], new[name], z.get(name)) for name in old]
    ranked = sorted((column for column in columns if column.name in z), key=lambda column: -column.z)
    return Drift(p, alpha, n_window, tuple(ranked), tuple(column for column in columns if column.name not in z))


def _check(reference: Columns, window: Columns) -> tuple[int, int]:
    """Return the rows of both."""
    if odd := sorted(reference.keys() ^ window.keys()):
        sides = (f"{name} (only in the {'reference' if name in reference else 'window'})" for name in odd)
        raise ValueError(f"expected the same columns in reference and window, found {', '.join(sides)}")
    lengths = [{len(column) for column in side.values()} for side in (reference, window)]
    if any(len(rows) != 1 for rows in lengths):
        raise ValueError(f"expected columns of one length, found {lengths[0]} rows in the reference, {lengths[1]}")
    for name, old in reference.items():
        new = window[name]
        if (old.dtype.kind, new.dtype.kind) not in {("f", "f"), ("U", "U")}:
            raise ValueError(f"expected floats or texts on both sides of {name}, found {old.dtype} and {new.dtype}")
        if old.dtype.kind == "f" and (np.isinf(old).any() or np.isinf(new).any()):
            raise ValueError(f"expected finite numbers in {name}, found an infinite one")
    (n_reference,), (n_window,) = lengths
    if n_window < MIN_ROWS:
        raise ValueError(f"expected a window of at least {MIN_ROWS} rows, found {n_window}")
    return n_reference, n_window


def _draw(columns: Columns, n: int, rng: np.random.Generator) -> Columns:
    if n <= MAX_ROWS:
        return columns
    drawn = np.sort(rng.choice(n, MAX_ROWS, replace=False))
    return {name: column[drawn] for name, column in columns.items()}


def _column(name: str, old: Values, new: Values, z: float | None) -> ColumnDrift:
    kind: Literal["number", "text"] = "number" if old.dtype.kind == "f" else "text"
    without, without_old = is_missing(new), is_missing(old)
    old, new = old[~without_old], new[~without]
    statistic, psi, wasserstein = (float("nan"), float("nan"), None) if z is None else _sizes(old, new)
    shares = float(without.mean()), float(without_old.mean())
    return ColumnDrift(name, kind, len(new), statistic, float("nan") if z is None else z, psi, wasserstein, *shares)


def _sizes(old: Values, new: Values) -> tuple[float, float, float | None]:
    """Return Kolmogorov-Smirnov or total variation, PSI, and the Wasserstein distance."""
    wasserstein = None
    if old.dtype.kind == "f":
        old, new = np.sort(old.astype(np.float64)), np.sort(new.astype(np.float64))
        points = np.sort(np.concatenate([old, new]))
        below, below_new = (np.searchsorted(side, points, side="right") / len(side) for side in (old, new))
        statistic = float(np.abs(below - below_new).max())
        if deviation := float(old.std()):
            wasserstein = float((np.abs(below - below_new)[:-1] * np.diff(points)).sum() / deviation)
        deciles = np.unique(np.quantile(old, np.arange(1, 10) / 10))
        counts = [np.bincount(np.searchsorted(deciles, side), minlength=len(deciles) + 1) for side in (old, new)]
    else:
        codes = np.unique(np.concatenate([old, new]), return_inverse=True)[1]
        counts = [np.bincount(side, minlength=codes.max() + 1) for side in (codes[: len(old)], codes[len(old) :])]
        statistic = float(np.abs(counts[0] / len(old) - counts[1] / len(new)).sum() / 2)
    p, q = (np.maximum(side, 0.5) / side.sum() for side in counts)
    return statistic, float(((q - p) * np.log(q / p)).sum()), wasserstein
