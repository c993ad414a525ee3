"""Which requests are let in: as many as can be answered soon, the others are refused before they cost anything.

A bound on the number alone is none on the wait: 64 batches are a minute's work. By Little's law (1961) the wait is the
work that is in progress times the seconds that a unit of it takes to leave; like CoDel (Nichols and Jacobson, 2012),
this bounds the wait and lets the length of the queue be what it is. Written here because libraries that limit requests
count them, and in an ASGI app, where a refusal costs as much as a small answer.
"""

import time
from asyncio import get_running_loop
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from portfolio_shared.serving.exchange import FEEDBACK_PATH
from portfolio_shared.serving.pool import HEAVY, LIGHT, current_lane, too_many_requests
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.refusals import Refusals, Send
from portfolio_shared.serving.settings import ServiceSettings

Scope = MutableMapping[str, Any]

FEEDBACK_AT_ONCE = 16  # beside the predictions, whose places it would take while the database hangs

WAIT_SECONDS = 1.0
HEAVY_BYTES = 8_000
"""Bodies from here on are batches and pictures: they wait in a lane of their own, and so do not keep others waiting."""
EMPTY_BYTES = 2_000
"""What a request without a body weighs."""
FIRST_GUESS = 5e-6
"""Seconds for a byte, until there are answers."""
DECAY = 0.9
"""What an answer's share in the mean shrinks by with the next one."""
ACTIVE_SECONDS = 1.0
"""How long places are kept for a lane after its last request."""

TURN_SECONDS = 0.001
LEAST_STARTS = 8  # which `WorkerPool` computes together where it can


def is_prediction(method: str, path: str) -> bool:
    """Whether a request takes a place among the predictions."""
    return method == "POST" and path.startswith("/v1/") and path != FEEDBACK_PATH


@dataclass(slots=True, eq=False)
class Lane:
    """The predictions of a kind that are in progress, and how fast they leave.

    Attributes
    ----------
    active, weight
        Number of those in progress, and bytes of their bodies, with `EMPTY_BYTES` for each.
    wanted
        Of how many at a time it has lately had need.
    asked, left
        When one last came, and when one was last answered.
    busy, done
        Seconds and bytes of the last answers, older ones with less weight: their ratio is the pace.
    """

    number: int
    active: int = 0
    weight: int = 0
    wanted: int = 0
    asked: float = -ACTIVE_SECONDS
    left: float = 0.0
    busy: float = FIRST_GUESS
    done: float = 1.0

    def wait(self, weight: int) -> float:
        """Return the seconds until a request of this weight would be answered."""
        return (self.weight + weight) * self.busy / self.done


@dataclass(slots=True, eq=False)
class Place:
    """What a prediction holds from its start to its end."""

    lane: Lane
    weight: int
    began: float


class Admission:
    """The places of one service, for predictions and for feedback; changed on the event loop only.

    Parameters
    ----------
    count_refused
        Called with a path and how many of its requests were refused.
    clock
        Seconds, of any start.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        count_refused: Callable[[str, int], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._most = settings.max_concurrent_requests
        self._threads = settings.worker_threads
        self._lanes = (Lane(LIGHT), Lane(HEAVY))
        self._feedback = 0  # in progress
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()  # let in, to be started in a later turn of the loop
        self._starts = self._left = LEAST_STARTS  # of a turn, and of this one
        self._turn_began = 0.0
        self._turns = False
        self._refusals = Refusals(too_many_requests(self._most), count_refused)

    def refuses(self, method: bytes, url: bytes, length: int, send: Send) -> bool:
        """Whether a request is refused now that its headers are there: then `send` gets the response a little later."""
        if not is_prediction(method.decode(), url.partition(b"?")[0].decode("latin-1")):  # written oddly: see `start`
            return False
        if self._has_room(self._lanes[length >= HEAVY_BYTES], length + EMPTY_BYTES):
            return False
        self._refusals.add(url, send)
        return True

    def start(self, scope: Scope, length: int, begin: Callable[[], None], send: Send) -> None:
        """Let a complete request in, or refuse it: call `begin`, as soon as the loop has time for it, or `send`.

        What the event loop does in one turn has to be short, or it is late for everybody: so only some predictions
        begin in a turn, as many as it did in `TURN_SECONDS` before.
        """
        if not is_prediction(scope["method"], scope["path"]):
            begin()
            return
        place = self._take(length)
        if place is None:
            self._refusals.add(scope["path"].encode(), send)
            return
        scope["state"]["place"] = place
        if not self._turns:
            self._turns, self._turn_began = True, self._clock()
            get_running_loop().call_soon(self._turn)
        if self._left:
            self._left -= 1
            begin()
        else:
            self._waiting.append(begin)

    @contextmanager
    def place(self, scope: Scope, *, counted: bool, feedback: bool, length: int = 0) -> Iterator[None]:
        """Hold a place until the end of the block, or raise `ProblemError` if there is none.

        Parameters
        ----------
        scope
            Of the request, which `start` may have given a place.
        counted
            Whether it is a prediction.
        feedback
            Whether it is feedback; neither of the two is always let in.
        length
            Bytes of its body.
        """
        place: Place | None = scope["state"].get("place")
        if place is None and counted and (place := self._take(length)) is None:
            raise too_many_requests(self._most)
        if feedback and self._feedback >= FEEDBACK_AT_ONCE:
            detail = "Too much feedback waits to be kept. Send it again later."
            raise ProblemError(503, detail, headers={"Retry-After": "1"})
        self._feedback += feedback
        if place is not None:
            current_lane.set(place.lane.number)
        try:
            yield
        finally:
            self._feedback -= feedback
            if place is not None:
                self._leave(place, answered="predicted" in scope["state"])

    def _has_room(self, lane: Lane, weight: int) -> bool:
        now, other = self._clock(), self._lanes[1 - lane.number]
        lane.wanted = max(lane.active + 1, lane.wanted if now - lane.asked < ACTIVE_SECONDS else 0)
        lane.asked = now
        kept = min(other.wanted, self._most // 2) if now - other.asked < ACTIVE_SECONDS else 0
        if lane.active + max(other.active, kept) >= self._most:
            return False
        # A thread that has ended one finds the next, however long one takes.
        return lane.active <= self._threads or lane.wait(weight) <= WAIT_SECONDS

    def _take(self, length: int) -> Place | None:
        lane, weight = self._lanes[length >= HEAVY_BYTES], length + EMPTY_BYTES
        if not self._has_room(lane, weight):
            return None
        lane.active += 1
        lane.weight += weight
        return Place(lane, weight, lane.asked)

    def _leave(self, place: Place, *, answered: bool) -> None:
        lane, now = place.lane, self._clock()
        lane.active -= 1
        lane.weight -= place.weight
        if not answered and now - place.began < WAIT_SECONDS:
            return  # a refusal, such as for want of a key, does not tell how long an answer takes; a timeout does
        # While others wait, what lies between two that leave is what one takes, on however many threads.
        lane.busy = DECAY * lane.busy + now - max(place.began, lane.left)
        lane.done = DECAY * lane.done + place.weight
        lane.left = now

    def _turn(self) -> None:
        now, began = self._clock(), self._starts - self._left
        late = now - self._turn_began > TURN_SECONDS
        self._starts = max(LEAST_STARTS, self._starts // 2) if late else min(self._most, self._starts + 1)
        self._turn_began = now
        begins = min(self._starts, len(self._waiting))
        self._left = self._starts - begins
        for _ in range(begins):
            self._waiting.popleft()()
        self._turns = began > 0
        if self._turns:
            get_running_loop().call_soon(self._turn)
