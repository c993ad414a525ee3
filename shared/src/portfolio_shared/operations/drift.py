"""Has what a model is asked changed since it was trained? One test for a whole window, beside sizes for each column."""

from dataclasses import dataclass
from typing import Literal

from portfolio_shared.operations.watch import Columns

MIN_ROWS = 100
MIN_GIVEN = 20


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
        In [0, 1]: the Kolmogorov-Smirnov statistic of numbers, the total variation distance of texts. NaN, as are the
        next two, for a column that is not compared.
    z
        The statistic in standard deviations above its mean over permutations; what columns are ranked by.
    psi
        Population stability index over the reference's deciles, or over the texts.
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
    """Compare a window with the reference by one permutation test.

    Raises
    ------
    ValueError
        If a column is on one side only or of another kind there, if the window has fewer than `MIN_ROWS` rows, or if
        no column can be compared.
    """
    raise NotImplementedError
