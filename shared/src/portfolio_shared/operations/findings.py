"""What one look at a service found, and the sentence that says it."""

from dataclasses import dataclass, field
from typing import Literal

from portfolio_shared.bundle import Manifest
from portfolio_shared.operations.drift import MIN_ROWS, ColumnDrift, Drift
from portfolio_shared.operations.performance import Performance
from portfolio_shared.operations.shapes import Shape, number
from portfolio_shared.operations.window import Sample

UNREADABLE_SHARE = 0.01  # of rows or truths, above which data are missing
MIN_UNREADABLE = 3
DAY = 86_400.0
DOUBT = 0.05  # at or below which p is worth a word, if it is no alarm
Verdict = Literal["well", "alarm", "too few"]
EXIT = {"well": 0, "alarm": 1, "too few": 2}


@dataclass(frozen=True)
class Findings:
    """One look.

    Attributes
    ----------
    since, until
        Bounds of the window, in seconds since 1970.
    level, budget, projects, looks_per_month
        Of false alarms: what this look may cost, and what it follows from. Drift and performance have half of it each.
    rows_by_version
        Things predicted in the window, the busiest version first.
    version
        The version that is looked at, or nothing where none answered.
    on_trust
        Why nothing says that the bundle is the one of this version; empty where something does.
    rows_before, rows_earlier
        Things predicted in a window of the same length just before, and in the same one a day earlier (a week, if the
        window is a day or longer): an hour without any is nothing at night.
    outage
        Why the log could not be read.
    """

    project: str
    model: str
    since: float
    until: float
    level: float
    budget: float
    projects: int
    looks_per_month: float
    rows_by_version: dict[str, int] = field(default_factory=dict)
    version: str = ""
    on_trust: str = ""
    rows_before: int = 0
    rows_earlier: int = 0
    outage: str = ""
    manifest: Manifest | None = None
    sample: Sample | None = None
    drift: Drift | None = None
    shapes: dict[str, Shape] = field(default_factory=dict)
    performance: Performance | None = None

    @property
    def rows(self) -> int:
        """Things that this version predicted."""
        return self.rows_by_version.get(self.version, 0)

    @property
    def reasons(self) -> dict[str, str]:
        """Why there is an alarm, by its kind."""
        reasons = {
            "missing": self._missing(),
            "drift": self._drifted(),
            "performance": self._worse(),
        }
        return {kind: reason for kind, reason in reasons.items() if reason}

    @property
    def verdict(self) -> Verdict:
        """Whether somebody should look."""
        if self.reasons:
            return "alarm"
        return "well" if self.drift else "too few"

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        if self.reasons:
            return " ".join(self.reasons.values())
        if not self.drift:
            given = self.sample.rows if self.sample else 0
            repeated = self.sample.repeated if self.sample else 0
            left_out = f" without {repeated:,} repeated requests" if repeated else ""
            return f"Too few rows to judge: {given:,}{left_out}, and it takes {MIN_ROWS}."
        asked = "looks like what it learned from"
        if self.drift.p <= DOUBT:
            asked = f"may have changed: luck alone does this in {self.drift.p:.1%} of windows, too often for an alarm"
        compared = (
            [measure.p for measure in self.performance.measures if measure.p is not None] if self.performance else []
        )
        answers = ", and the answers are not measurably worse than on the test split" if compared else ""
        if compared and min(compared) <= DOUBT / len(compared):
            answers = "; the answers may have become worse, but not by enough for an alarm"
        return f"What the model is asked {asked}{answers}."

    def _missing(self) -> str:
        if self.outage:
            return f"The predictions cannot be read: {self.outage}."
        if not self.rows and min(self.rows_before, self.rows_earlier) >= MIN_ROWS:
            period = "day" if self.until - self.since < DAY else "week"
            return (
                f"No predictions came in, after {self.rows_before:,} in the window before "
                f"and {self.rows_earlier:,} a {period} earlier."
            )
        sample, shown = self.sample, self.performance
        parts = [
            _unreadable("logged rows", sample.unreadable, sample.read, sample.reason) if sample else "",
            _unreadable("truths", shown.unreadable, shown.rows, shown.reason) if shown else "",
        ]
        return " ".join(part for part in parts if part)

    def _drifted(self) -> str:
        if not (self.drift and self.drift.alarm):
            return ""
        column = self.drift.columns[0]
        return f"What the model is asked has changed, most of all {column.name}: {change(column, self.shapes)}."

    def _worse(self) -> str:
        worse = [measure for measure in self.performance.measures if measure.alarm] if self.performance else []
        said = [
            f"{measure.label} {number(measure.mean.estimate)} instead of {number(measure.test.estimate)}"
            for measure in sorted(worse, key=lambda measure: measure.p or 0.0)
            if measure.mean and measure.test
        ]
        more = f", and {len(said) - 1} more" if len(said) > 1 else ""
        return f"The answers have become worse: {said[0]}{more}." if said else ""


def _unreadable(what: str, unreadable: int, of: int, reason: str) -> str:
    """Say that so many cannot be read, if they are too many."""
    if unreadable < MIN_UNREADABLE or unreadable <= UNREADABLE_SHARE * of:
        return ""
    return f"{unreadable / of:.1%} of the {what} cannot be read ({reason})."


def change(column: ColumnDrift, shapes: dict[str, Shape]) -> str:
    """Say how a column changed, in words."""
    before, now = shapes[column.name].typical
    what = "median" if column.kind == "number" else "most frequent"
    if before == now:
        return f"{what} {now} as before, spread otherwise" if column.kind == "number" else f"{what} {now} as before"
    return f"{what} {now} instead of {before}"
