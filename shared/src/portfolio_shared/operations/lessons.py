"""What feedback teaches: which of it is believed, how much may count, and what is set aside to compare models by.

Feedback comes from anybody who can reach the service, and trains the next model: each limit here bounds what one
client, or a lie, can do. A client is whom the header X-Subject names; without names all are one. Whoever may write that
header freely can be many clients: then a proxy that knows its callers has to set it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portfolio_shared.data.splits import hash_split
from portfolio_shared.evaluation.uncertainty import PairedComparison, paired_bootstrap
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
MIN_CLIENTS = 50
"""Votes below which the percentile bootstrap is too narrow."""
DOUBTED = "doubted: "
CONTRADICTED = "contradicted by other clients"


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

    @property
    def doubted(self) -> int:
        """How many truths are not believed: the answer held them impossible, or clients contradict each other."""
        return sum(n for why, n in self.counts.items() if why.startswith(DOUBTED) or why == CONTRADICTED)

    def beside(self, rows: int) -> "Lessons":
        """Return the newest lessons to learn beside so many rows of other data: at most `MOST` of all rows."""
        most = int(rows * MOST / (1 - MOST))
        left_out = max(0, len(self.learned) - most)
        if not left_out:
            return self
        counts = {**self.counts, "learned": most, f"more than {MOST:.0%} of the rows": left_out}
        return replace(self, learned=self.learned[left_out:], counts=counts)


def collect(store: Store, watch: Watch, *, until: float) -> Lessons:
    """Read what feedback says of each item, the last word on it, given before `until` in seconds since 1970.

    Of what a client says of a subject the last counts, and of more than `PER_CLIENT` subjects the newest. Of what
    clients say of one subject the most frequent counts, once; without one that is most frequent, nothing does. A
    subject is held back by a hash of what it is, whoever speaks of it.
    """
    counts: Counter[str] = Counter()
    said: dict[str, dict[str, Lesson]] = defaultdict(dict)  # client -> subject -> the last word
    for prediction, given in store.feedback(watch.model, since=0.0, until=until):
        lesson, subject = _read(watch, prediction, given)
        if lesson is None:
            counts[subject] += 1
            continue
        before = said[given.client].get(subject)
        counts["said again later"] += before is not None
        if before is None or before.at <= lesson.at:
            said[given.client][subject] = lesson
    voices: dict[str, list[Lesson]] = defaultdict(list)
    for of_client in said.values():
        newest = sorted(of_client.items(), key=lambda item: item[1].at, reverse=True)
        counts["more than one client may say"] += len(newest[PER_CLIENT:])
        for subject, lesson in newest[:PER_CLIENT]:
            voices[subject].append(lesson)
    agreed = {subject: lesson for subject, lessons in voices.items() if (lesson := _agreed(lessons, counts))}
    learned, held_back = _parts(agreed)
    counts |= Counter({"learned": len(learned), "held back": len(held_back)})
    return Lessons(learned, held_back, {name: number for name, number in counts.items() if number})


def compare_by_client(
    held_back: Sequence[Lesson], champion_losses: Sequence[float], losses: Sequence[float]
) -> PairedComparison | None:
    """Compare two models on feedback that was held back; each client has one vote, however much it says.

    The interval is of one comparison. Retraining again makes others, largely on the same feedback, and of many models
    that are no better one passes by chance: only a comparison of live answers (`compare`) tells whether it is that one.

    Parameters
    ----------
    champion_losses, losses
        Of the champion and of the new model, one for each lesson; lower is better.

    Returns
    -------
    The new model minus the champion, mean over clients of the mean of each, or None with fewer than `MIN_CLIENTS`. It
    hangs on one where the upper end would cross zero without one of the clients: so no client alone turns a model that
    would be refused into one that is promoted, or the other way round.
    """
    clients = [lesson.client for lesson in held_back]
    names, of = np.unique(np.array(clients, dtype=np.str_), return_inverse=True)
    if len(names) < MIN_CLIENTS:
        return None

    def votes(values: Sequence[float]) -> NDArray[np.float64]:
        return np.bincount(of, weights=np.asarray(values, dtype=np.float64)) / np.bincount(of)

    # In this order no other client moves the upper end as far as the first and the last do.
    differences = np.sort(votes(losses) - votes(champion_losses))
    found, *without_one = map(_compared, (differences, differences[1:], differences[:-1]))
    better = found.difference.high < 0
    return replace(found, hangs_on_one=any((each.difference.high < 0) != better for each in without_one))


def _compared(differences: NDArray[np.float64]) -> PairedComparison:
    zeros = np.zeros(len(differences))
    return paired_bootstrap(lambda _, errors: float(np.mean(errors)), zeros, zeros, differences)


def _read(watch: Watch, prediction: LoggedPrediction, given: Feedback) -> tuple[Lesson | None, str]:
    """Return a lesson and its subject, or None and why there is none."""
    try:
        truth = watch.truth.model_validate_json(given.truth)
        if (why := watch.doubt(prediction, given.item, truth)) is not None:
            return None, f"{DOUBTED}{why}"
        subject = watch.about(prediction, given.item)
    except UNREADABLE:
        return None, "unreadable"
    return Lesson(prediction, given.item, truth, given.client, given.at), subject


def _agreed(lessons: Sequence[Lesson], counts: Counter[str]) -> Lesson | None:
    """Return the newest of those that say what most clients say of a subject; count the others."""
    votes = Counter(lesson.truth.model_dump_json() for lesson in lessons)
    (truth, most), *others = votes.most_common()
    if others and others[0][1] == most:
        counts[CONTRADICTED] += len(lessons)
        return None
    counts[CONTRADICTED] += len(lessons) - most
    counts["said by another client too"] += most - 1
    return max((lesson for lesson in lessons if lesson.truth.model_dump_json() == truth), key=lambda each: each.at)


def _parts(agreed: Mapping[str, Lesson]) -> tuple[tuple[Lesson, ...], tuple[Lesson, ...]]:
    """Return what may be learned from and what is held back, by a hash of the subject, the oldest first."""
    if not agreed:
        return (), ()
    held = dict(zip(agreed, hash_split(list(agreed), test_fraction=HELD_BACK, seed=SEED), strict=True))

    def oldest_first(*, back: bool) -> tuple[Lesson, ...]:
        return tuple(sorted((each for name, each in agreed.items() if held[name] == back), key=lambda each: each.at))

    return oldest_first(back=False), oldest_first(back=True)
