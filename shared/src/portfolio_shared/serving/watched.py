"""One connection as seen from outside: how long it is idle, how fast its client sends and reads, and how it ends."""

import asyncio
import math
import socket
from contextlib import suppress
from typing import Any, cast

from fastapi import FastAPI
from uvicorn._types import ASGIReceiveEvent
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from portfolio_shared.serving.connections import LEAST_RATE, Connections, Pace, refusal
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.unpacking import PIECE

NOT_SENT_BYTES = 131_072
LINGER_SECONDS = 5.0  # for a client to read why it is refused while it still sends
_REFUSAL = refusal()


class Cycle(RequestResponseCycle):
    """A request and its response; it is `ready` for the app when its body is complete, or of no interest."""

    ready = False
    admitted = False  # by `Access`, where the body did not come with the head
    max_body = 0

    async def receive(self) -> ASGIReceiveEvent:
        """Receive the body, a large one in pieces, between which others have their turn."""
        if self.ready and self.more_body and not self.body:  # the rest is not heard
            return {"type": "http.disconnect"}
        if len(self.body) <= PIECE or self.disconnected:
            return await super().receive()
        await asyncio.sleep(0)
        piece = bytes(self.body[:PIECE])
        del self.body[:PIECE]
        return {"type": "http.request", "body": piece, "more_body": True}

    def answer(self, response: bytes) -> None:
        """Send a whole response, of which the app knows nothing."""
        if not self.disconnected:
            self.transport.write(response)
            self.response_complete = True
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


class WatchedProtocol(HttpToolsProtocol):
    """A connection that the timer of `Connections` looks at: a request that is never complete, or a reader that stops.

    Attributes
    ----------
    address
        Where the client is.
    """

    cycle: Cycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all: Connections = cast("FastAPI", config.app).state.connections  # that `create_service` has made
        self._fed = 0  # bytes since the last that completed a head, a request, or belonged to a body
        self._since = 0.0  # when it began to wait for a request, or to linger
        self._waiting: Cycle | None = None  # for its body
        self._front: Cycle | None = None  # the last whose turn it was
        self._held = 0  # bytes of bodies that are counted
        self._owed = False  # a refusal that `Admission` will write
        self._deaf = self._lingering = False  # what arrives is thrown away; until the client has read
        self._body_pace, self._write_pace = Pace(), Pace()
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, or say at once that there is no room."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._since = self.loop.time()
        if self.client:  # a bound on what the system takes off our hands, so that it is seen whether the client reads
            with suppress(OSError):  # the client may have gone already
                own = transport.get_extra_info("socket")
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
        if not self._all.add(self, self.loop):
            transport.write(_REFUSAL)
            self.linger()
            if self._all.crowded:
                transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app of a request that is cut off, so that it is accounted for."""
        waiting, self._waiting, self._deaf = self._waiting, None, True
        self._all.remove(self)
        self._all.hold_body(-self._held)
        super().connection_lost(exc)
        if waiting is not None:
            self._start_asgi_task(waiting, self.app)

    def refuse(self, problem: ProblemError) -> None:
        """Answer the request that arrives with a problem, when it is its turn, and close."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Free what is held of bodies: those sent in advance, else the one that arrives."""
        if self.pipeline:
            self.forget_advance()
        else:
            detail = "The service holds as many bodies as it can, and yours is the slowest. Try again later."
            self.refuse(ProblemError(503, detail, headers={"Retry-After": "1"}))

    def forget_advance(self) -> None:
        """Drop the requests that wait for their turn, and close after the answer in front: a client repeats them."""
        self._deaf = True
        self.pipeline.clear()
        self._all.hold_body(-self._held)
        self._held = 0
        if self._front is not None:
            self.cycle = self._front
            self.cycle.keep_alive = False

    def linger(self) -> None:
        """Close when the client has read why, or has had the time to."""
        self._deaf = self._lingering = True
        self._since = self.loop.time()
        self.flow.resume_reading()
        if not self.transport.can_write_eof():  # such as in TLS
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()

    def shutdown(self) -> None:
        """End: at once without a request in progress, else after its response; a body that arrives has its time."""
        if self._waiting is not None:
            self._waiting.keep_alive = False
            return
        self._deaf = True
        if self.idle_since < math.inf:
            self.transport.close()
        elif self.pipeline and not cast("Cycle", self.pipeline[0][0]).ready:  # and never will be
            self.forget_advance()
        elif self.cycle is not None:  # else a refusal is owed
            self.cycle.keep_alive = False

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it is answered."""
        super().pause_writing()
        self._write_pace.restart(self.loop.time(), -self.unsent_bytes())
        self._all.falls_behind(self, self.loop.time())

    def resume_writing(self) -> None:
        """Note that it has read."""
        super().resume_writing()
        self._write_pace.restart(self.loop.time(), -self.unsent_bytes())
        self._all.catches_up(self)

    @property
    def idle_since(self) -> float:
        """Return when it began to wait for a request, or infinity while one is under way."""
        busy = self._owed or not (self.cycle is None or self.cycle.response_complete)
        return math.inf if busy else self._since

    def body_rate(self, now: float) -> float:
        """Return the bytes a second of the body that arrives, or infinity while none does."""
        if self.pipeline and self._held:
            return -1.0  # sent in advance, which nobody has to
        return self._body_pace.rate(now, len(self._waiting.body)) if self._waiting is not None else math.inf

    def write_rate(self, now: float) -> float:
        """Return the bytes a second that the client has read since it is behind."""
        return self._write_pace.rate(now, -self.unsent_bytes())

    def unsent_bytes(self) -> int:
        """Return the bytes of answers that the client has not read."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close it whatever it does."""
        self.transport.abort()

    def check(self, now: float) -> None:
        """Close it if the client takes too long."""
        timeout, unsent, waiting = self._all.timeout, self.unsent_bytes(), self._waiting
        if not unsent or self._since > self._write_pace.since:
            self._write_pace.restart(now, -unsent)
        if self._write_pace.too_slow(now, -unsent, timeout):
            self._all.count("unread")
            self.abort()
        elif self._lingering:
            if now - self._since >= LINGER_SECONDS:
                self.transport.close()
        elif waiting is not None:
            if self._body_pace.too_slow(now, len(waiting.body), timeout):
                self.refuse(ProblemError(408, f"The body arrives at less than {LEAST_RATE} bytes a second."))
        elif now - self.idle_since >= (
            timeout if self.cycle is None else self.timeout_keep_alive + timeout * bool(self._fed)
        ):
            if self._fed:
                self.refuse(ProblemError(408, f"The headers did not arrive within {timeout:g} s."))
            else:
                self._all.count("silent")
                self.transport.close()


class Lingering:
    """A transport that a client may read from for a while after it is closed; see `WatchedProtocol.linger`.

    A connection that is closed while the client still sends is reset, and the client would not see why.
    """

    def __init__(self, protocol: WatchedProtocol) -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.linger
