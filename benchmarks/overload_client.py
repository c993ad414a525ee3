"""The clients of `overload.py`, in a process of their own: many connections on one event loop, with little between.

An HTTP library would spend more on a request than the service does on its refusal, and be what is measured.
"""

import asyncio
import os
import random
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import cast

import uvloop

from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST

WARM_UP_SECONDS = 1.0
DRAIN_SECONDS = 4.0
MOST_CONNECTIONS = 900
POOL_SECONDS = 0.05
"""Of arrivals, for which there are connections from the beginning: a refusal takes 35 ms."""
TICK_SECONDS = 0.001
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What is offered: so many clients that ask again at once, or arrivals at a rate, whatever becomes of them."""

    name: str
    clients: int = 0
    rate: float = 0.0


@dataclass
class Seen:
    """What came of it, after the warm-up; seconds from the arrival to the end of the response, by status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    answered: int = 0  # with 200, while it was measured
    lags: list[float] = field(default_factory=list)  # how late the clients themselves were, with nothing to wait for
    lost: int = 0  # closed without an answer, or none by the end
    elapsed: float = 0.0
    cpu: float = 0.0
    starved: float = 0.0  # seconds that the service's event loop waited for a core

    def refused(self) -> list[float]:
        """Return the seconds of all answers but 200."""
        return [value for status, values in self.seconds.items() if status != HTTPStatus.OK for value in values]


def offer(port: int, pid: int, request: ExampleRequest, load: Load, seconds: float) -> Seen:
    """Put a load on the service with this port and process, and return what came of it."""
    return uvloop.run(Clients(port, pid, request, load).run(seconds))


def message(request: ExampleRequest) -> bytes:
    """Return a POST as it goes over the wire."""
    head = f"POST {request.path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\nUser-Agent: overload\r\n"
    head += f"Content-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    return head.encode() + request.body


def cpu_seconds(pid: int) -> float:
    """Return the seconds that a process has computed, the kernel's work for it included."""
    user, system = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def starved_seconds(pid: int) -> float:
    """Return the seconds that the first thread of a process has waited for a core."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


class Clients:
    """All clients of one load."""

    def __init__(self, port: int, pid: int, request: ExampleRequest, load: Load) -> None:
        self._port, self._pid, self._load = port, pid, load
        self._message = message(request)
        self._seen, self._measures, self._ends = Seen(), False, False
        self._all: set[Client] = set()
        self._idle: list[Client] = []
        self._waiting: deque[float] = deque()  # arrivals that found no connection
        self._asking = self._opened = 0

    async def run(self, seconds: float) -> Seen:
        """Warm up, measure, and let the requests under way end."""
        loop = asyncio.get_running_loop()
        for _ in range(self._load.clients or min(MOST_CONNECTIONS, round(POOL_SECONDS * self._load.rate))):
            await self._open()
        loop.call_later(WARM_UP_SECONDS, self._begin)
        end = loop.time() + WARM_UP_SECONDS + seconds
        await self._arrive(end)
        self._ends = True
        self._seen.elapsed = time.perf_counter() - self._began
        self._seen.cpu = cpu_seconds(self._pid) - self._cpu
        self._seen.starved = starved_seconds(self._pid) - self._starved
        late = end + DRAIN_SECONDS
        while (self._asking or self._waiting) and loop.time() < late:  # noqa: ASYNC110 - an event costs each answer
            await asyncio.sleep(0.01)
        self._seen.lost += self._asking + len(self._waiting)
        self._measures = False
        for client in self._all:
            client.transport.close()
        while self._all:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        return self._seen

    def ended(self, client: "Client", status: int) -> None:
        """Note an answer, and let its client ask again, or wait for an arrival."""
        now = time.perf_counter()
        self._asking -= 1
        if self._measures:
            self._seen.answered += status == HTTPStatus.OK and not self._ends
            if client.asked >= self._began:
                self._seen.seconds.setdefault(status, []).append(now - client.asked)
        client.asked = 0.0
        if self._waiting or not self._ends:
            self._next(client)

    def _next(self, client: "Client") -> None:
        if self._load.clients:
            self._ask(client, time.perf_counter())
        elif self._waiting:
            self._ask(client, self._waiting.popleft())
        else:
            self._idle.append(client)

    def closed(self, client: "Client") -> None:
        """Note that the service has closed a connection."""
        self._opened -= 1
        self._all.discard(client)
        if client.asked:
            self._asking -= 1
            self._seen.lost += self._measures
        elif client in self._idle:
            self._idle.remove(client)
        if self._load.clients and not self._ends:
            asyncio.ensure_future(self._open())  # noqa: RUF006 - ends at once

    def _begin(self) -> None:
        self._measures = True
        self._began = time.perf_counter()
        self._cpu, self._starved = cpu_seconds(self._pid), starved_seconds(self._pid)

    def _ask(self, client: "Client", arrived: float) -> None:
        client.asked = arrived
        self._asking += 1
        client.transport.write(self._message)

    async def _open(self) -> None:
        self._opened += 1
        try:
            _, client = await asyncio.get_running_loop().create_connection(lambda: Client(self), HOST, self._port)
        except OSError:
            self._opened -= 1
            self._seen.lost += self._measures
            return
        self._all.add(client)
        self._next(client)

    async def _arrive(self, end: float) -> None:
        """Until the end, let requests arrive as a Poisson process does: each on an idle connection, or on a new one."""
        loop, draw = asyncio.get_running_loop(), random.Random(0)  # noqa: S311 - no secret
        behind = time.perf_counter() - loop.time()
        due = now = loop.time()
        while now < end:
            await asyncio.sleep(TICK_SECONDS)
            before, now = now, loop.time()
            if self._measures:
                self._seen.lags.append(now - before - TICK_SECONDS)
            while self._load.rate and due <= now:
                self._arrived(due + behind)
                due += draw.expovariate(self._load.rate)

    def _arrived(self, at: float) -> None:
        if self._idle:
            self._ask(self._idle.pop(), at)  # the last one: the service closes those that it has not heard of for long
            return
        self._waiting.append(at)
        if self._opened < MOST_CONNECTIONS:
            asyncio.ensure_future(self._open())  # noqa: RUF006 - ends at once


class Client(asyncio.Protocol):
    """One connection with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._got = b""
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Wait for the whole response."""
        self._got = got = self._got + data if self._got else data
        head = got.find(b"\r\n\r\n")
        at = got.find(b"content-length: ", 0, head)
        if head < 0 or len(got) < head + 4 + int(got[at + 16 : got.index(b"\r\n", at)]):
            return
        self._got = b""
        status, keeps = int(got[9:12]), got.find(b"connection: close", 0, head) < 0
        if not keeps:
            self.transport.close()
        self._clients.ended(self, status)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the others."""
        self._clients.closed(self)
