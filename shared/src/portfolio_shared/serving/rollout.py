"""Which model answers, while two are in a service: the champion, or for a share of the subjects the challenger."""

import hashlib
import hmac
import logging
import math
import os
import time
from asyncio import TaskGroup, gather
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from fastapi import Request
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field

from portfolio_shared.serving.guards import GROUPS, WINDOW, Arm, Breach, breach
from portfolio_shared.serving.models import CHALLENGER, LoadedModel, ModelHolder, ModelNotReady
from portfolio_shared.serving.pool import WorkerPool
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.settings import ServiceSettings

if TYPE_CHECKING:  # a service without a shadow does not load it
    from portfolio_shared.serving.shadow import Shadow

P = TypeVar("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

BESIDE = frozenset({"canary", "interleave"})
"""The rollouts that need a challenger in the same process."""
GUARDS = ("errors", "latency", "abstention")
SERVER_ERROR, HTTP_OK = 500, 200


class RolloutInfo(BaseModel):
    """What /v1/model says of the challenger."""

    mode: str = Field(description="off, shadow, canary, or what else a service offers")
    challenger: str | None = Field(description="The version that runs beside the one that answers")
    stepped_back: str | None = Field(description="Why that version gets no more requests")


@dataclass
class Trial:
    """What two versions that answer at the same time, the champion's first, have answered in a window."""

    versions: tuple[str, str]
    champion: Arm = field(default_factory=Arm)
    challenger: Arm = field(default_factory=Arm)


class Turn(NamedTuple):
    """An answer that is one of two models'."""

    versions: tuple[str, str]
    arm: str
    group: int


class Rollout(Collector, Generic[P]):
    """Chooses the model of each request, and takes a challenger that does harm out of service.

    A subject, as the header X-Subject names it, gets the same model every time: a hash of its name and of the
    challenger's version decides, with the key that the log's hashes have. A larger share keeps those that it had.
    Without a name each request is drawn anew. All but predictions is the champion's.

    Parameters
    ----------
    settings
        What the rollout is, and the canary's share.
    models
        Holds the champion.
    challengers
        Holds the challenger, where it answers in this process.
    shadow
        Asks the challenger, where it answers in a process of its own.

    Notes
    -----
    A version that steps back gets no more requests until the alias has named another one, or the service starts anew.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        models: ModelHolder[P],
        challengers: ModelHolder[P] | None = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        self.models, self.shadow = models, shadow
        self._challengers = challengers
        self._mode: str = settings.rollout
        self._share = settings.canary_share if self._mode == "canary" else 0.0
        self._key = settings.subject_key.get_secret_value().encode()
        self._trial: Trial | None = None
        self._stepped_back: tuple[str, Breach] | None = None
        self._answers = {"champion": 0, "challenger": 0}

    def refresh(self) -> None:
        """Look once at both aliases; blocks, as `ModelHolder.refresh` does."""
        self.models.refresh()
        if self._challengers is not None:
            self._challengers.refresh()

    def close(self) -> None:
        """Look at no alias any more; waits a second or two."""
        for holder in filter(None, (self.models, self._challengers)):
            holder.close()

    async def watch(self, first: Awaitable[None]) -> None:
        """Follow both aliases until cancelled, when the first look has ended."""
        await first
        async with TaskGroup() as group:
            for holder in filter(None, (self.models, self._challengers)):
                group.create_task(holder.watch())

    def challenger(self) -> LoadedModel[P] | None:
        """Return the challenger, if one is loaded that is not the champion and has not stepped back."""
        loaded = self._loaded()
        if loaded is None or self._breach_of(loaded) is not None:
            return None
        return loaded

    def model_for(self, request: Request) -> LoadedModel[P]:
        """Return the model that answers a request; raises `ModelNotReady` without a champion."""
        champion = self.models.current()
        if not self._share or request.method != "POST" or (challenger := self.challenger()) is None:
            return champion
        place, group = self._draw(request.state.subject, challenger.version)
        arm = CHALLENGER if place < self._share else "champion"
        turn = Turn(self._try(champion, challenger), arm, group)
        request.state.canary = partial(self._observe_answer, turn, time.perf_counter())
        if arm == "champion":
            return champion
        request.state.by_challenger = True
        return challenger

    async def both(
        self, request: Request, models: tuple[LoadedModel[P], LoadedModel[P]], compute: Callable[[P], T]
    ) -> tuple[T, T | None]:
        """Return what the champion and the challenger compute for one request, each in threads of its own.

        The challenger has a short time. What it has not computed by then, or not at all, is None: an experiment costs
        nobody their answer.
        """
        versions = self._try(*models)
        _, group = self._draw(request.state.subject, versions[1])
        pools: tuple[WorkerPool, WorkerPool] = request.app.state.pool, request.app.state.challenger_pool
        halves = (_timed(pool, compute, model.predictor) for pool, model in zip(pools, models, strict=True))
        own, other = await gather(*halves, return_exceptions=True)
        for arm, half in (("champion", own), (CHALLENGER, other)):
            status, seconds = (_status(half), 0.0) if isinstance(half, BaseException) else (HTTP_OK, half[1])
            self._observe(Turn(versions, arm, group), status, seconds, items=1)
        if isinstance(own, BaseException):
            raise own
        if isinstance(other, BaseException):
            words = "the challenger, version %s, failed: the champion answers alone"
            _log.error(words, versions[1], exc_info=other)
            return own[0], None
        return own[0], other[0]

    def info(self) -> RolloutInfo:
        """Say what became of the challenger."""
        if self.shadow is not None:
            return RolloutInfo(mode=self._mode, challenger=self.shadow.state().challenger, stepped_back=None)
        loaded = self._loaded()
        found = self._breach_of(loaded) if loaded is not None else None
        return RolloutInfo(
            mode=self._mode,
            challenger=None if loaded is None else loaded.version,
            stepped_back=None if found is None else f"{found.guard}: {found.seen}",
        )

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus reads of the challenger."""
        if self.shadow is not None:
            yield from self.shadow.collect()
        if self._challengers is None:
            return
        answers = CounterMetricFamily("canary_requests", "Predictions while two models answer", labels=["arm"])
        for arm, count in self._answers.items():
            answers.add_metric([arm], count)
        yield answers
        loaded = self._loaded()
        found = self._breach_of(loaded) if loaded is not None else None
        stepped_back = GaugeMetricFamily(
            "canary_stepped_back", "1 where a guard has taken the challenger out of service", labels=["reason"]
        )
        for guard in GUARDS:
            stepped_back.add_metric([guard], found is not None and found.guard == guard)
        yield stepped_back

    def _loaded(self) -> LoadedModel[P] | None:
        if self._challengers is None:
            return None
        try:
            loaded = self._challengers.current()
            return loaded if loaded.version != self.models.current().version else None
        except ModelNotReady:
            return None

    def _breach_of(self, challenger: LoadedModel[P]) -> Breach | None:
        if self._stepped_back is None:
            return None
        version, found = self._stepped_back
        if version == challenger.version:
            return found
        self._stepped_back = None  # another one is tried
        return None

    def _draw(self, subject: bytes, version: str) -> tuple[float, int]:
        """Return a place in [0, 1), and a group that has nothing to do with it."""
        asked = f"canary {version} ".encode() + subject
        digest = hmac.digest(self._key, asked, hashlib.sha256) if subject else os.urandom(9)
        return int.from_bytes(digest[:8]) / 2**64, digest[8] % GROUPS

    def _try(self, champion: LoadedModel[P], challenger: LoadedModel[P]) -> tuple[str, str]:
        """Return the versions of a trial that goes on from now; another of either is another trial."""
        versions = champion.version, challenger.version
        if self._trial is None or self._trial.versions != versions:
            self._trial = Trial(versions)
        return versions

    def _observe_answer(self, turn: Turn, started: float, status: int, state: Mapping[str, Any]) -> None:
        """Account for an answer; called on the event loop when it has been sent."""
        _, items = state.get("predicted", ("", 0))
        self._observe(turn, status, time.perf_counter() - started, items=items, abstained=state.get("abstained", 0))

    def _observe(self, turn: Turn, status: int, seconds: float, *, items: int, abstained: int = 0) -> None:
        self._answers[turn.arm] += 1
        trial, failed = self._trial, status >= SERVER_ERROR
        if trial is None or trial.versions != turn.versions or not (failed or status == HTTP_OK):
            return  # of a refusal nobody is to blame but who asked
        arm = trial.challenger if turn.arm == CHALLENGER else trial.champion
        arm.add(turn.group, failed=failed)
        if items and not failed:
            arm.log_seconds.add(turn.group, math.log(seconds))
            arm.abstained.add(turn.group, abstained, items)
        if arm is not trial.challenger:
            return
        if (found := breach(trial.challenger, trial.champion)) is not None:
            self._stepped_back, self._trial = (trial.versions[1], found), None
            words = "version %s steps back, and the champion answers everybody: %s: %s"
            _log.error(words, trial.versions[1], *found)
        elif arm.answers >= WINDOW:
            self._trial = Trial(trial.versions)


async def _timed(pool: WorkerPool, compute: Callable[[P], T], predictor: P) -> tuple[T, float]:
    started = time.perf_counter()
    return await pool.run(compute, predictor), time.perf_counter() - started


def _status(error: BaseException) -> int:
    return error.status_code if isinstance(error, ProblemError) else SERVER_ERROR
