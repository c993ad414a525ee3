"""Which of two models is better, by the truths that came in on what both answered: promote, keep, or go on.

What makes the answer honest, in the order of the code:

- A pair is one truth on one answer of this champion and of this challenger. Answers of other versions say nothing of
  these two, and a truth that comes later for the same item, or from the same client for the same subject, replaces the
  earlier one.
- A truth that both answers hold next to impossible is left out. One that only one of them doubts is counted: after the
  world has changed it is what the champion has not learned. Both are reported, and so is the decision with all of them.
- A client is one value, the mean over its subjects: who says a thousand things has one voice, and what one client says
  is not independent. Whoever gives no name is one client together.
- Clients stand in the order of their truths in time, whatever these say. A client that speaks again changes the value
  that it has; simulated, this keeps the level (`make sequence-power`).
- The interval holds at all looks together (`confidence_sequence`), so that the command may run every hour, and its
  exit status may stop the experiment. Of those looks the last one decides: a finding that newer truths do not bear out
  is none. It takes 52 clients who speak of as many different things, each of one: what many say of one thing is a word
  on that thing, and who speaks of many things adds one.
- A finding stands without the two clients that speak most for it. So none is made by one client; one more can still be
  what the others' finding lacked. How many it hangs on is reported: a client that comes under many names is not seen
  from here.
- Where the log deletes what is old the experiment begins later, and the level is that of the part that is left.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from portfolio_shared.operations.comparison import BY_BOTH, INTERLEAVED, Comparison
from portfolio_shared.operations.sequences import ALPHA, Floats
from portfolio_shared.operations.store import Feedback, LoggedPrediction, Store
from portfolio_shared.operations.watch import Watch
from portfolio_shared.operations.window import UNREADABLE, named

Pair = tuple[LoggedPrediction, LoggedPrediction | None, Feedback]
COUNTED = {
    (False, False): "counted",
    (True, False): "counted, doubted by the champion alone",
    (False, True): "counted, doubted by the challenger alone",
}


class _Word(NamedTuple):
    """A truth as it was read: where it stands in time, whose it is, what it is about, and what became of it."""

    at: float
    prediction: str
    item: int
    client: str
    subject: str
    difference: float
    fate: str


def compare(
    watch: Watch, store: Store, *, champion: str, challenger: str, alpha: float = ALPHA, worthwhile: float = 0.0
) -> Comparison:
    """Compare two versions by all the feedback that is kept on what both answered, or on their interleaved lists."""
    counts: Counter[str] = Counter()
    said: dict[tuple[str, str], _Word] = {}
    for word in sorted(_read(watch, pair, challenger) for pair in _pairs(watch, store, champion, challenger)):
        if word.fate not in (*COUNTED.values(), BY_BOTH):
            counts[word.fate] += 1
            continue
        replaced = said.pop((word.client, word.subject), None)
        counts["said again later"] += replaced is not None
        said[word.client, word.subject] = word
    counts.update(word.fate for word in said.values())
    counted = [word for word in said.values() if word.fate != BY_BOTH]
    answered, asked = (0, 0) if watch.preference else store.shadowed(watch.model, champion, challenger)
    return Comparison(
        model=watch.model,
        champion=champion,
        challenger=challenger,
        label=INTERLEAVED if watch.preference else watch.loss_label,
        alpha=alpha,
        worthwhile=worthwhile,
        differences=_by_client(counted),
        with_doubted=_by_client(said.values()),
        truths=len(counted),
        subjects=_subjects(counted),
        nameless=sum(not word.client for word in counted),
        counts={fate: count for fate, count in counts.most_common() if count},
        answered=answered,
        asked=asked,
        since=min((word.at for word in counted), default=0.0),
        until=max((word.at for word in counted), default=0.0),
    )


def _pairs(watch: Watch, store: Store, champion: str, challenger: str) -> Iterator[Pair]:
    """Yield what both answered, and a truth; a list that both have made is one answer."""
    if watch.preference is None:
        yield from store.pairs(watch.model, champion=champion, challenger=challenger)
        return
    for asked, given in store.feedback(watch.model, since=0.0, until=math.inf):
        if asked.version == champion:
            yield asked, None, given


def _read(watch: Watch, pair: Pair, challenger: str) -> _Word:
    asked, shadow, given = pair
    difference, subject = 0.0, ""
    try:
        truth = watch.truth.model_validate_json(given.truth)
        subject = watch.about(asked, given.item)
        if shadow is None:
            difference, fate = _preferred(watch, asked, given.item, truth, challenger)
        else:
            difference, fate = _lost(watch, (asked, shadow), given.item, truth)
        if not math.isfinite(difference):
            fate = "unreadable: a difference that is not finite"
    except UNREADABLE as error:
        fate = f"unreadable: {named(error)}"
    return _Word(given.at, given.prediction, given.item, given.client, subject, difference, fate)


def _preferred(
    watch: Watch, asked: LoggedPrediction, item: int, truth: BaseModel, challenger: str
) -> tuple[float, str]:
    """Return -1 where the challenger's part of a list served better, and what becomes of the truth."""
    preference = watch.preference and watch.preference(asked, item, truth, challenger)
    if preference is None:
        return 0.0, "not on a list of these two"
    doubted = watch.doubt(asked, item, truth) is not None
    return -preference, BY_BOTH if doubted else COUNTED[False, False]


def _lost(
    watch: Watch, answers: tuple[LoggedPrediction, LoggedPrediction], item: int, truth: BaseModel
) -> tuple[float, str]:
    """Return by how much the challenger's loss is higher, and what becomes of the truth."""
    before, after = (watch.loss(answer, item, truth) for answer in answers)
    if before is None or after is None:
        return 0.0, "says nothing of the loss" if before is after else "only one model has an answer"
    first, second = (watch.doubt(answer, item, truth) is not None for answer in answers)
    return after - before, COUNTED.get((first, second), BY_BOTH)


def _by_client(words: Iterable[_Word]) -> Floats:
    """Return the mean of each client, in the order of the first word that it holds to."""
    said: dict[str, list[float]] = {}
    for word in words:
        said.setdefault(word.client, []).append(word.difference)
    return np.array([np.mean(values) for values in said.values()], dtype=np.float64)


def _subjects(words: Iterable[_Word]) -> int:
    """Return how many different subjects there are if each client stands for one that nobody else stands for."""
    clients, subjects = set(), set()
    for word in words:
        if word.client not in clients and word.subject not in subjects:
            clients.add(word.client)
            subjects.add(word.subject)
    return len(subjects)
