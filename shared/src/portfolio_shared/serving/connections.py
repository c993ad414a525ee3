"""All connections of one service: how many there may be, what they hold in memory, and one timer that looks at each.

Written here because uvicorn bounds none of it: it has a timer for each idle connection, and none for one that is
half-sent or not read.
"""

import asyncio
import logging
import math
import resource
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from portfolio_shared.serving.problems import ProblemError, problem_response
from portfolio_shared.serving.settings import ServiceSettings

if TYPE_CHECKING:
    from portfolio_shared.serving.watched import WatchedProtocol

LEAST_RATE = 1000  # bytes a second that a client sends or reads, once it has had its time
UNSENT_BYTES = 64_000_000  # of answers that clients do not read, in all
SPARE = 100  # connections that are told why they are refused, before they are closed
OWN_DESCRIPTORS = 100  # of models, logs and connections to databases
SWEEP_SECONDS = 1.0
IDLE_SECONDS = 1.0  # before a connection may be closed in favor of a new one
REFUSED = ProblemError(
    503,
    "The service has as many connections as it can hold. Close those you do not use, or try again later.",
    headers={"Retry-After": "1", "Connection": "close"},
)

_log = logging.getLogger(__name__)


class Pace:
    """How fast a count has grown since a moment, which moves on with it."""

    def __init__(self) -> None:
        self.since, self._count = 0.0, 0

    def restart(self, now: float, count: int) -> None:
        """Begin to look at this moment."""
        self.since, self._count = now, count

    def rate(self, now: float, count: int) -> float:
        """Return the growth a second; in the first second, that growth."""
        return (count - self._count) / max(1.0, now - self.since)

    def too_slow(self, now: float, count: int, seconds: float) -> bool:
        """Return whether it has grown by less than `LEAST_RATE` for so many seconds; if not, look at the next ones."""
        elapsed, grown = now - self.since, count - self._count
        if elapsed < seconds:
            return False
        self.restart(now - elapsed / 2, count - grown // 2)  # so that the rate does not begin anew
        return grown < LEAST_RATE * elapsed


class Connections(Collector):
    """The connections of one service and their bounds; changed on the event loop only.

    Attributes
    ----------
    max_body, max_head
        Bytes of a body and of a head.
    timeout
        Seconds that a client may be silent while it owes something.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.max_body = settings.max_body_bytes
        self.max_head = settings.max_header_bytes
        self.timeout = settings.client_timeout_seconds
        self._most, self._share = settings.max_connections, settings.max_connections_per_client
        self._body_bytes, self._max_body_bytes = 0, max(settings.max_total_body_bytes, self.max_body)
        self._every = min(SWEEP_SECONDS, self.timeout / 4)
        self._open: dict[WatchedProtocol, None] = {}
        self._refused: dict[WatchedProtocol, None] = {}  # they are told why
        self._behind: dict[WatchedProtocol, None] = {}
        self._clients: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._refused_before = 0
        self._due: float | None = None

    def add(self, connection: "WatchedProtocol", loop: asyncio.AbstractEventLoop) -> bool:
        """Take in a new connection; False if there is no room for it, even after idle ones have been closed for it."""
        address = connection.address
        if not self._has_room(address):
            self._close_idle(loop.time(), address)
        room = self._has_room(address)
        if room:
            self._open[connection] = None
            self._clients[address] += 1
        else:
            self._refused[connection] = None
            self.count("refused")
        if self._due is None:
            self._due = loop.time() + self._every
            loop.call_later(self._every, self._sweep, loop)
        return room

    @property
    def crowded(self) -> bool:
        """Whether there is no room even for those that are told why they are refused."""
        return len(self._refused) > SPARE

    def remove(self, connection: "WatchedProtocol") -> None:
        """Forget a connection that is closed."""
        self._refused.pop(connection, None)
        if connection in self._open:
            del self._open[connection]
            self._behind.pop(connection, None)
            self._clients[connection.address] -= 1
            if not self._clients[connection.address]:
                del self._clients[connection.address]

    def count(self, reason: str) -> None:
        """Count a connection that is closed for a reason which no request's status tells."""
        self._closed[reason] += 1

    def hold_body(self, n_bytes: int) -> None:
        """Count bytes of bodies that arrive (or, negative, are gone)."""
        self._body_bytes += n_bytes

    def bound_bodies(self, now: float) -> None:
        """Let those who send in advance, then those who send slowest, give way where all bodies are too much."""
        while self._body_bytes > self._max_body_bytes:
            slowest = min(self._open, key=lambda each: each.body_rate(now), default=None)
            if slowest is None or slowest.body_rate(now) == math.inf:
                return  # the rest is of connections that are being closed
            slowest.give_way()

    def falls_behind(self, connection: "WatchedProtocol", now: float) -> None:
        """Note that a client does not read as fast as it is answered; the slowest of those is cut off."""
        self._behind[connection] = None
        while sum(each.unsent_bytes() for each in self._behind) > UNSENT_BYTES:
            slowest = min(self._behind, key=lambda each: each.write_rate(now))
            self.count("unread")
            del self._behind[slowest]
            slowest.abort()

    def catches_up(self, connection: "WatchedProtocol") -> None:
        """Note that a client has read what it was behind with."""
        self._behind.pop(connection, None)

    def collect(self) -> Iterator[Metric]:
        """Yield how many there are, and how many were closed for what."""
        yield GaugeMetricFamily("http_connections", "Connections that are open", value=len(self._open))
        closed = CounterMetricFamily("http_connections_closed", "Connections closed on a client", labels=["reason"])
        for reason in ("refused", "displaced", "silent", "unread"):
            closed.add_metric([reason], self._closed[reason])
        yield closed

    def _has_room(self, address: str) -> bool:
        return len(self._open) < self._most and self._clients[address] < self._share

    def _close_idle(self, now: float, address: str) -> None:
        """Close a twentieth of the connections, those idle longest: of a client that has too many, its own."""
        own = self._clients[address] >= self._share
        idle = [
            each
            for each in self._open
            if each.idle_since <= now - IDLE_SECONDS and (each.address == address or not own)
        ]
        idle.sort(key=lambda each: each.idle_since)
        for connection in idle[: min(self._most, self._share) // 20 + 1]:
            self.count("displaced")
            self.remove(connection)
            connection.abort()
        if not idle:
            self._close_slowest(now, address)

    def _close_slowest(self, now: float, address: str) -> None:
        """Close the slowest body of the client with most connections, if the new one is of another that has fewer."""
        [(greediest, count)] = self._clients.most_common(1)
        slowest = min((e for e in self._open if e.address == greediest), key=lambda each: each.body_rate(now))
        if count > self._clients[address] + 1 and slowest.body_rate(now) < math.inf:
            self.count("displaced")
            self.remove(slowest)
            slowest.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late, self._due = now - (self._due or now), None
        if self._open or self._refused:
            self._due = now + self._every
            loop.call_later(self._every, self._sweep, loop)
        if refused := self._closed["refused"] - self._refused_before:
            _log.warning("%d connections refused: %d are open", refused, len(self._open))
            self._refused_before += refused
        if late < self._every:  # else the loop was busy: clients are heard first, and judged next time
            for connection in (*self._open, *self._refused):
                connection.check(now)


def refusal() -> bytes:
    """Return the answer to a connection for which there is no room, as it is sent."""
    response = problem_response(REFUSED, "connection")
    headers = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n" + headers + b"\r\n" + bytes(response.body)


class DescriptorsError(RuntimeError):
    """The system allows fewer open files than there may be connections; the message says what to do."""


def reserve_descriptors(settings: ServiceSettings) -> None:
    """Raise the limit of open files to what the connections need, as far as the system lets this process.

    Raises
    ------
    DescriptorsError
        If it does not let it.
    """
    needed = settings.max_connections + SPARE + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        prefix = settings.model_config["env_prefix"]
        raise DescriptorsError(
            f"{prefix}MAX_CONNECTIONS={settings.max_connections} needs {needed} open files, and the system allows "
            f"{hard}: raise `ulimit -n`, or set {prefix}MAX_CONNECTIONS to {hard - SPARE - OWN_DESCRIPTORS} or less"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
