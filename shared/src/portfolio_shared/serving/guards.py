"""Whether a challenger that answers requests harms them: it fails more often, is slower, or abstains more.

Whether its answers are better is not asked here: an experiment on feedback says that. Own code, because subjects are
drawn and not requests, and because the looks go on for as long as the challenger answers.
"""

import math
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import NamedTuple

LOOK = 10
"""Answers of the challenger between two looks at failures."""
WINDOW = 640
"""Answers of the challenger that are judged together; then counting begins anew, so that a good past hides nothing."""
LEVEL = 1e-6
"""Chance at one look that as good a challenger has so many more failures: 16,000 looks, 160,000 answers, are 1.6 %."""
LEAST_FAILED_GROUPS = 3
ERRORS_OF = 5.0
"""Standard errors beyond what is tolerated, of seconds and of abstentions."""
GROUPS = 64
LEAST_GROUPS = 20
SLOWER = 2.0
"""How many times the champion's time is tolerated, in the geometric mean."""
ABSTAINS_MORE = 0.05
"""How much larger a share of abstentions is tolerated."""


class Breach(NamedTuple):
    """Which guard broke, in one word, and what was seen."""

    guard: str
    seen: str


class Mean:
    """A mean over groups of subjects, each group counted once.

    One subject's requests resemble each other and are all answered by one model. So requests are no independent draws,
    but groups of subjects are, and one subject, however often it asks, moves the mean of one group.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * GROUPS
        self._counts = [0] * GROUPS

    def add(self, group: int, value: float, count: int = 1) -> None:
        """Add what so many things of a group sum up to."""
        self._sums[group] += value
        self._counts[group] += count

    def groups(self) -> list[float]:
        """Return the mean of each group that has one."""
        return [value / count for value, count in zip(self._sums, self._counts, strict=True) if count]


@dataclass
class Arm:
    """What became of the answers of one of two models."""

    answers: int = 0
    failed: int = 0
    failed_groups: set[int] = field(default_factory=set)
    log_seconds: Mean = field(default_factory=Mean)
    abstained: Mean = field(default_factory=Mean)

    def add(self, group: int, *, failed: bool) -> None:
        """Count an answer to a subject of a group."""
        self.answers += 1
        if failed:
            self.failed += 1
            self.failed_groups.add(group)


def breach(challenger: Arm, champion: Arm) -> Breach | None:
    """Return which guard the challenger breaks, if any; to be asked after each answer of the challenger.

    Large or odd requests may be one client's, and one client always gets the same model. So a guard speaks only when it
    has seen several groups of subjects fail, or many be slow. Failures are looked at every `LOOK` answers, the others
    at `LOOK`, twice as many, and so on.
    """
    looks, rest = divmod(challenger.answers, LOOK)
    if rest or not looks:
        return None
    if len(challenger.failed_groups) >= LEAST_FAILED_GROUPS and _fails_more(challenger, champion):
        counts = f"{challenger.failed} of {challenger.answers} answers failed"
        return Breach("errors", f"{counts}, of the champion's {champion.failed} of {champion.answers}")
    if looks & (looks - 1):  # no power of two
        return None
    if _exceeds(challenger.log_seconds, champion.log_seconds, by=math.log(SLOWER)):
        times = math.exp(fmean(challenger.log_seconds.groups()) - fmean(champion.log_seconds.groups()))
        return Breach("latency", f"it takes {times:.2f} times as long as the champion")
    if _exceeds(challenger.abstained, champion.abstained, by=ABSTAINS_MORE):
        own, other = (fmean(arm.abstained.groups()) for arm in (challenger, champion))
        return Breach("abstention", f"it abstains from {own:.1%}, the champion from {other:.1%}")
    return None


def _fails_more(challenger: Arm, champion: Arm) -> bool:
    return excess_failures(challenger.failed, challenger.answers, champion.failed, champion.answers) < LEVEL


def excess_failures(failed: int, answers: int, failed_beside: int, answers_beside: int) -> float:
    """Return the chance of so many failures or more among `answers`, if both models fail equally often.

    Fisher's exact test, one-sided: how the failures of both fall on the answers of both.

    Examples
    --------
    >>> round(excess_failures(1, 50, 0, 450), 3)  # one failure is an accident
    0.1
    >>> round(excess_failures(4, 50, 0, 450), 5)
    9e-05
    >>> round(excess_failures(20, 50, 180, 450), 1)  # both fail: the reason is elsewhere
    0.6
    """
    together, everything = failed + failed_beside, answers + answers_beside
    whole = _log_choose(everything, together)
    most = min(together, answers)
    terms = (
        _log_choose(answers, k) + _log_choose(answers_beside, together - k) - whole
        for k in range(max(failed, together - answers_beside), most + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _exceeds(challenger: Mean, champion: Mean, *, by: float) -> bool:
    """Whether one mean is larger by more than what is tolerated, and not by chance (Welch's statistic)."""
    own, other = challenger.groups(), champion.groups()
    if min(len(own), len(other)) < LEAST_GROUPS:
        return False
    error = math.sqrt(variance(own) / len(own) + variance(other) / len(other))
    return fmean(own) - fmean(other) - by > ERRORS_OF * error
