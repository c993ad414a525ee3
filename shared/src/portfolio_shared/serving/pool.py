"""Worker threads for predictions, with slots that an abandoned computation keeps: no limiter of a library does that.

CPU-bound work never queues without bound, and what takes more than a millisecond never runs on the event loop.
"""

import asyncio
import contextvars
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any, TypeVar, TypeVarTuple

from portfolio_shared.serving.problems import ProblemError

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Outcome = tuple[T | None, BaseException | None]
"""A result, or an error: a future itself takes no StopIteration."""
Asked = tuple[Callable[[list[Any]], list[Any]], Any, "asyncio.Future[Outcome[Any] | None]", contextvars.Context]
"""A function of items, one of them, what becomes of it (None: threads are to compute it), the caller's variables."""

_log = logging.getLogger(__name__)

HERE_SECONDS = 0.001
HERE_GUESS = 0.6 * HERE_SECONDS  # for an item, until it is known: one at a time, and a slow first call is forgiven
HERE_MEMORY = 100  # calls, of which the mean of an item is
HERE_TOGETHER = 8  # items that a call computes at most
AWAY_SECONDS = 60.0

LIGHT, HEAVY = 0, 1
current_lane = contextvars.ContextVar("current_lane", default=LIGHT)
"""Of the request that computes; what the two lanes have waiting shares the threads in equal parts."""


class Slots:
    """A number of slots for which two lanes wait, each in the order of its calls.

    A slot that gets free is for the lane which has fewer, or which has held them for less time: as in fair queueing
    (Demers, Keshav and Shenker, 1989), a lane with much to do delays itself alone. A lane that had nothing waiting
    does not save up time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._held = [0, 0]
        self._spent = [0.0, 0.0]

    def __len__(self) -> int:
        return sum(map(len, self._waiting))

    async def acquire(self, lane: int) -> None:
        """Return when the caller has a slot."""
        waiting = self._waiting[lane]
        if not waiting:
            self._spent[lane] = max(self._spent[lane], self._spent[1 - lane])
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the slot was given at the same moment
                self.release(lane, 0.0)
            elif turn in waiting:
                waiting.remove(turn)
            raise

    def release(self, lane: int, seconds: float) -> None:
        """Give a slot back that was held for some time."""
        self._free += 1
        self._held[lane] -= 1
        self._spent[lane] += seconds
        self._give()

    def _give(self) -> None:
        while self._free and len(self):
            lane = min((lane for lane in (LIGHT, HEAVY) if self._waiting[lane]), key=self._share)
            turn = self._waiting[lane].popleft()
            if not turn.cancelled():
                self._free -= 1
                self._held[lane] += 1
                turn.set_result(None)

    def _share(self, lane: int) -> tuple[int, float]:
        return self._held[lane], self._spent[lane]


class WorkerPool:
    """A fixed number of threads that compute predictions for the event loop.

    A thread cannot be stopped from outside. So a computation that takes too long is answered with 503 at once, but
    keeps its thread until it ends; work that still waits by then is never started. That is why slots are counted here
    and not by a library's limiter, which would give the slot of an abandoned thread to a new one.

    Parameters
    ----------
    threads
        Computations at a time.
    max_waiting
        Computations that may wait for a thread; above it 429.
    timeout_seconds
        Longest time from the call of `run` to its result, waiting included; above it 503.
    around
        Function -> one that computes the same, and is computed in its place: such as in the span of a trace.
    here
        Whether `run_here` and `run_together` may compute on the event loop.
    """

    def __init__(
        self,
        *,
        threads: int,
        max_waiting: int,
        timeout_seconds: float,
        around: Callable[[Callable[..., Any]], Any] | None = None,
        here: bool = True,
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._slots = Slots(threads)
        self._max_waiting = max_waiting
        self._timeout = timeout_seconds
        self._around = around
        self._here: list[Asked] = []  # that wait for the event loop
        self._mean_here, self._away_until = HERE_GUESS, 0.0 if here else math.inf

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Compute ``fn(*args)`` in a thread, with the context variables of the caller.

        Raises
        ------
        ProblemError
            429 when too many computations wait, 503 when this one takes too long.
        Exception
            What `fn` raises.
        """
        if len(self._slots) >= self._max_waiting:
            raise too_many_requests(self._max_waiting)
        compute: Callable[[*Ts], T] = fn if self._around is None else self._around(fn)
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire(current_lane.get())
                outcome = await self._submit(compute, *args)
        except TimeoutError:
            detail = f"The answer took longer than {self._timeout:g} s. Send less in one request, or try again later."
            raise ProblemError(503, detail, headers={"Retry-After": "1"}) from None
        return _returned(outcome)

    async def run_here(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Compute ``fn(*args)`` on the event loop: for what takes less time than the way to a thread and back.

        Where that takes more than `HERE_SECONDS` in the mean, the log says so, and threads compute for `AWAY_SECONDS`.
        """
        if self._is_away():
            return await self.run(fn, *args)
        compute: Callable[[*Ts], T] = fn if self._around is None else self._around(fn)
        began = time.thread_time()
        try:
            return compute(*args)
        finally:
            self._took(time.thread_time() - began)

    async def run_together(self, fn: Callable[[list[I]], list[T]], item: I) -> T:
        """Compute ``fn([item])[0]`` as `run_here` does, together with other items that come at about the same time.

        One call computes as many items of a function as take less than `HERE_SECONDS`.
        """
        if not self._is_away():
            loop = asyncio.get_running_loop()
            told: asyncio.Future[Outcome[T] | None] = loop.create_future()
            if not self._here:
                loop.call_soon(loop.call_soon, self._compute_here)  # in the turn after the next: others come by then
            self._here.append((fn, item, told, contextvars.copy_context()))
            if (outcome := await told) is not None:
                return _returned(outcome)
        return (await self.run(fn, [item]))[0]

    def _compute_here(self) -> None:
        """Compute what one call takes of those that wait, and the others in later turns of the loop, or in threads."""
        if self._is_away():
            for _, _, told, _ in self._here:
                _tell(told, None)
            self._here.clear()
            return
        fn, size = self._here[0][0], 1  # a span is of one request
        if self._around is None:
            size = max(1, min(HERE_TOGETHER, int(HERE_SECONDS / max(self._mean_here, 1e-9))))
        asked = list(takewhile(lambda each: each[0] == fn, self._here[:size]))  # of two models, one
        del self._here[: len(asked)]
        if self._here:
            asyncio.get_running_loop().call_soon(self._compute_here)
        self._answer_here(fn, asked)

    def _answer_here(self, fn: Callable[[list[Any]], list[Any]], asked: Sequence[Asked]) -> None:
        """Compute some items in one call; if it fails, each alone, so that nobody fails for another's sake."""
        compute = fn if self._around is None else self._around(fn)
        outcomes: list[Outcome[Any]]
        began = time.thread_time()
        try:
            results = asked[0][3].run(compute, [item for _, item, _, _ in asked])
            outcomes = [(result, None) for _, result in zip(asked, results, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller
            outcomes = [(None, error)]
        self._took((time.thread_time() - began) / len(asked))
        if len(outcomes) < len(asked):
            for one in asked:
                self._answer_here(fn, [one])
            return
        for (_, _, told, _), outcome in zip(asked, outcomes, strict=True):
            _tell(told, outcome)

    def _is_away(self) -> bool:
        return bool(self._away_until) and time.perf_counter() < self._away_until

    def _took(self, seconds: float) -> None:
        """Learn what an item took of the event loop's own time: a busy machine is slow in threads too."""
        self._mean_here += (seconds - self._mean_here) / HERE_MEMORY
        if self._mean_here > HERE_SECONDS:
            words = "what the event loop computes takes %.1f ms: threads compute it for %g s"
            _log.warning(words, 1000 * self._mean_here, AWAY_SECONDS)
            # Back then with one call that is quick; one that is not, and it is away again.
            self._mean_here, self._away_until = HERE_SECONDS, time.perf_counter() + AWAY_SECONDS

    async def close(self) -> None:
        """Wait for the threads to end what they compute. Call this when no request is left."""
        await asyncio.to_thread(self._executor.shutdown)

    def _submit(self, fn: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[Outcome[T]]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome[T]] = loop.create_future()
        context, lane, began = contextvars.copy_context(), current_lane.get(), time.perf_counter()

        def finish(result: T | None, error: BaseException | None) -> None:  # on the event loop
            self._slots.release(lane, time.perf_counter() - began)
            _tell(told, (result, error))

        def work() -> None:  # in the thread
            try:
                result, error = context.run(fn, *args), None
            except BaseException as raised:  # noqa: BLE001  # whatever it is belongs to the caller
                result, error = None, raised
            loop.call_soon_threadsafe(finish, result, error)

        self._executor.submit(work)
        return told


def _tell(told: asyncio.Future[T], outcome: T) -> None:
    if not told.done():  # it is when the caller has given up
        told.set_result(outcome)


def _returned(outcome: Outcome[T]) -> T:
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # a result of None is a T when there was no error


def too_many_requests(limit: int) -> ProblemError:
    """Build the 429 of a service that is full."""
    detail = (
        f"The service has as much to do as it can answer soon, at most {limit} requests. "
        "Try again after the time in Retry-After."
    )
    return ProblemError(429, detail, headers={"Retry-After": "1"})
