"""What a comparison of two models found: the decision, the sentence that says it, and what to know before one acts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from portfolio_shared.operations.sequences import ALPHA, FIRST_LOOK, Floats, confidence_sequence, needed, rests_on
from portfolio_shared.operations.shapes import number

Decision = Literal["promote", "keep", "go on"]
EXIT: dict[Decision, int] = {"promote": 0, "keep": 1, "go on": 2}
BY_BOTH = "left out, doubted by both models"
INTERLEAVED = "share of lists lost"
APART = 2  # clients without whom, whoever they are, a finding has to stand
CLIENTS = FIRST_LOOK + APART  # so many are left after that
# Worth a word: fewer clients that a decision hangs on, more truths that are left out, more answers that are missing.
FEW, DOUBTED, MISSED = 0.2, 0.1, 0.05


@dataclass(frozen=True)
class Comparison:
    """A challenger beside the champion.

    Attributes
    ----------
    label
        What the difference is of.
    differences
        Challenger minus champion: below zero the challenger is better. One value a client, in the order of time.
    with_doubted
        The same with the truths that both models doubt.
    worthwhile
        Gain that is worth a change: the champion stays if the gain is certainly smaller.
    truths, subjects, nameless
        Truths that are counted, different things that these are about, at most one for each client, and truths of
        clients without a name.
    counts
        What became of each truth.
    answered, asked
        The challenger's answers, and the champion's in the same time.
    since, until
        When the first and the last counted truth came in, in seconds since 1970.
    """

    model: str
    champion: str
    challenger: str
    label: str
    alpha: float
    worthwhile: float
    differences: Floats
    with_doubted: Floats
    truths: int
    subjects: int
    nameless: int
    counts: Mapping[str, int]
    answered: int
    asked: int
    since: float
    until: float

    @property
    def n(self) -> int:
        """Clients that a truth was counted of."""
        return len(self.differences)

    @cached_property
    def sequence(self) -> tuple[Floats, Floats]:
        """Lower and upper ends after each client."""
        return confidence_sequence(self.differences, alpha=self.alpha)

    @property
    def last(self) -> tuple[float, float, float]:
        """Mean difference with its interval; at least one client has spoken."""
        low, high = self.sequence
        return float(self.differences.mean()), float(low[-1]), float(high[-1])

    @property
    def decision(self) -> Decision:
        """What to do."""
        return decide(self.differences, subjects=self.subjects, alpha=self.alpha, worthwhile=self.worthwhile)

    @cached_property
    def hangs_on(self) -> int:
        """Clients without which the decision would not stand, those that speak most for it; 0 if it is to go on."""
        margin = self.worthwhile if self.decision == "keep" else 0.0
        return rests_on(self.differences + margin, alpha=self.alpha) if self.decision != "go on" else 0

    @property
    def needed(self) -> dict[float, int]:
        """Difference -> how many more clients it takes to tell it from zero, about; none if all have one value."""
        deviation = float(self.differences.std()) if self.n else 0.0
        sizes = [abs(self.last[0]), *(share * deviation for share in (0.1, 0.2, 0.5))] if deviation else []
        return {size: max(0, needed(size, deviation, alpha=self.alpha) - self.n) for size in sizes if size}

    @property
    def summary(self) -> str:
        """The decision in a sentence."""
        if self.decision == "go on":
            return f"Go on: {self._undecided()}"
        mean, low, high = self.last
        way, ends = ("lower", (-high, -low)) if mean < 0 else ("higher", (low, high))
        said = f"{self.label} is {way} by {number(abs(mean))} ({' to '.join(map(number, ends))})"
        whose = f", by the truths of {self.n:,} clients."
        if self.decision == "promote":
            return f"Promote version {self.challenger}: its {said}{whose}"
        why = "" if low > 0 else f", and no gain of {number(self.worthwhile)}"
        return f"Keep version {self.champion}: version {self.challenger}'s {said}{why}{whose}"

    def _undecided(self) -> str:
        few = {"clients": self.n, "clients who speak of different things": self.subjects}
        said = [f"it takes {CLIENTS} {what}, and there are {n}." for what, n in few.items() if n < CLIENTS]
        if said:
            return said[0]
        mean, low, high = self.last
        if not self.needed:
            return f"all {self.n:,} clients saw a difference of {number(mean)}, which says nothing of the next one."
        so_far = f"the difference is {number(mean)} ({number(low)} to {number(high)}) after {self.n:,} clients"
        if not low <= 0 <= high:
            return f"{so_far}, and hangs on {APART} of them or fewer."
        size, more = next(iter(self.needed.items()))
        same = "this size" if mean else number(size)
        return f"{so_far}; about {about(more):,} more would show one of {same}."

    @property
    def cautions(self) -> list[str]:
        """What to know before one acts, in sentences."""
        return list(self._cautions())

    def _cautions(self) -> Iterator[str]:
        if 0 < self.hangs_on < FEW * self.n:
            yield (
                f"Without the {self.hangs_on:,} clients that speak most for it ({self.hangs_on / self.n:.0%}) the "
                "decision would not stand: so many false ones can have made it."
            )
        doubted, read = self.counts.get(BY_BOTH, 0), sum(self.counts.values())
        if doubted and doubted >= DOUBTED * read:
            yield (
                f"{doubted:,} of {read:,} truths ({doubted / read:.0%}) are left out, because both models hold them "
                "next to impossible: find out who sends them."
            )
        other = decide(self.with_doubted, subjects=self.subjects, alpha=self.alpha, worthwhile=self.worthwhile)
        if other != self.decision:
            yield f"With the truths that are left out as doubted it would be: {other}."
        if self.nameless > 1:
            yield (
                f"{self.nameless:,} truths come from clients without a name, who count as one: a client is named by "
                "the header X-Subject, and the service needs a subject key."
            )
        missing = self.asked - self.answered
        if missing > MISSED * self.asked:
            yield (
                f"The challenger has not answered {missing:,} of {self.asked:,} requests ({missing / self.asked:.0%}): "
                "what it failed on is not compared. The metric shadow_requests_total says why."
            )


def decide(differences: Floats, *, subjects: int, alpha: float = ALPHA, worthwhile: float = 0.0) -> Decision:
    """Decide by the last interval: promote if it lies below zero, keep if no worthwhile gain is in it, or go on.

    A finding has to stand without the `APART` clients that speak most for it: then it stands without any one of them,
    and does not hang on one of the others either.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.linspace(-1, 1, 100)
    >>> [decide(values + shift, subjects=100) for shift in (-0.5, 0.0, 0.5)]
    ['promote', 'go on', 'keep']
    >>> decide(values, subjects=100, worthwhile=0.5), decide(values - 0.5, subjects=10)
    ('keep', 'go on')
    """
    if min(len(differences), subjects) < CLIENTS:
        return "go on"
    low, high = (float(ends[-1]) for ends in confidence_sequence(differences, alpha=alpha))
    if low > -worthwhile and rests_on(differences + worthwhile, alpha=alpha) > APART:
        return "keep"
    return "promote" if high < 0 and rests_on(differences, alpha=alpha) > APART else "go on"


def about(n: int) -> int:
    """Return a number rounded up to two digits.

    >>> about(1748), about(59)
    (1800, 59)
    """
    size: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // size) * size
