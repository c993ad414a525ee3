"""What feedback teaches: which of it is believed, how much may count, and what is set aside to compare models by.

Feedback comes from anybody who can reach the service, and trains the next model: each limit here bounds what one
client, or a lie, can do.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from portfolio_shared.data.splits import hash_split
from portfolio_shared.operations.store import Feedback, LoggedPrediction, Store
from portfolio_shared.operations.watch import Watch
from portfolio_shared.operations.window import UNREADABLE

HELD_BACK = 0.3
"""Share of the subjects that no model learns from: the gate compares by them."""
SEED = 0
PER_CLIENT = 20
"""Subjects that one client teaches at most; whoever gives no name is one client together."""
MOST = 0.2
"""Share of the rows of a training that may come from feedback."""


@dataclass(frozen=True)
class Lesson:
    """A truth that is believed, and the prediction that it is about; `client` is a keyed hash, or nothing."""

    prediction: LoggedPrediction
    item: int
    truth: Any
    client: str
    at: float


@dataclass(frozen=True)
class Lessons:
    """What feedback teaches, the oldest first.

    Attributes
    ----------
    learned, held_back
        What a model may learn from, and what it is compared by.
    counts
        What became of every truth: `learned`, `held back`, or why it is neither.
    """

    learned: tuple[Lesson, ...]
    held_back: tuple[Lesson, ...]
    counts: Mapping[str, int]

    def beside(self, rows: int) -> "Lessons":
        """Return the newest lessons to learn beside so many rows of other data: at most `MOST` of all rows."""
        most = int(rows * MOST / (1 - MOST))
        left_out = max(0, len(self.learned) - most)
        if not left_out:
            return self
        counts = {**self.counts, "learned": most, f"more than {MOST:.0%} of the rows": left_out}
        return replace(self, learned=self.learned[left_out:], counts=counts)


def collect(store: Store, watch: Watch, *, until: float) -> Lessons:
    """Read all feedback that was given before `until`, in seconds since 1970.

    Of what a client says of a subject the last counts, of what clients say of more than `PER_CLIENT` subjects the
    oldest. A subject is held back by a hash of what it is, whoever speaks of it.
    """
    counts: Counter[str] = Counter()
    believed: dict[tuple[str, str], Lesson] = {}
    for prediction, given in sorted(store.feedback(watch.model, since=0.0, until=until), key=lambda pair: pair[1].at):
        lesson, why = _read(watch, prediction, given)
        if lesson is None:
            counts[why] += 1
            continue
        key = given.client, why
        counts["said again later"] += key in believed
        believed.pop(key, None)
        believed[key] = lesson
    by_client: Counter[str] = Counter()
    kept: list[tuple[str, Lesson]] = []
    for (client, subject), lesson in believed.items():
        by_client[client] += 1
        if by_client[client] > PER_CLIENT:
            counts["more than one client may say"] += 1
        else:
            kept.append((subject, lesson))
    held = hash_split([subject for subject, _ in kept], test_fraction=HELD_BACK, seed=SEED).tolist() if kept else []
    learned = tuple(lesson for (_, lesson), back in zip(kept, held, strict=True) if not back)
    held_back = tuple(lesson for (_, lesson), back in zip(kept, held, strict=True) if back)
    counts |= Counter({"learned": len(learned), "held back": len(held_back)})
    return Lessons(learned, held_back, {name: number for name, number in counts.items() if number})


def _read(watch: Watch, prediction: LoggedPrediction, given: Feedback) -> tuple[Lesson | None, str]:
    """Return a lesson and its subject, or None and why there is none."""
    try:
        truth = watch.truth.model_validate_json(given.truth)
        if (why := watch.doubt(prediction, given.item, truth)) is not None:
            return None, f"doubted: {why}"
        subject = watch.about(prediction, given.item)
    except UNREADABLE:
        return None, "unreadable"
    return Lesson(prediction, given.item, truth, given.client, given.at), subject
