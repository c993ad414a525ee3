"""HTTP/1.1 on one connection, within limits: what a client may send, in what time, and how long it may be silent.

Whatever two servers could read in two ways is refused with 400, and the connection closed: Content-Length beside
Transfer-Encoding, or twice, or as a list, or with a sign; a folded header; a space before a colon; a line that ends
without CR; no Host, or two (RFC 9112, 3.2 and 6.3). llhttp does that as long as none of its leniencies is on, so
uvicorn's `lenient_data_after_close` is off here: what follows a request that says `Connection: close` is not looked at.
Transfer codings other than chunked are 501. Extensions of chunks and trailers are read and ignored: a trailer that
counted as a header would be one that a proxy has not checked. An offer to upgrade (h2c, as Java's HttpClient makes it,
or a WebSocket) is declined by answering in HTTP/1.1, as RFC 9110, 7.8 allows. Requests that are sent before the one in
front is answered are answered in turn, up to `MAX_PIPELINED`; then the connection is closed, and a client repeats them.
"""

import asyncio
import functools
from typing import Any, cast

import httptools
from fastapi import FastAPI
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.server import ServerState

from portfolio_shared.serving.access import Access
from portfolio_shared.serving.admission import Admission
from portfolio_shared.serving.connections import LEAST_RATE
from portfolio_shared.serving.exchange import body_limit
from portfolio_shared.serving.heads import FRAMING, check_framing, check_size, parts_of, too_long, without_upgrade
from portfolio_shared.serving.problems import ProblemError
from portfolio_shared.serving.routes import path_of
from portfolio_shared.serving.watched import Cycle, Lingering, WatchedProtocol

MAX_PIPELINED = 16


class BoundedProtocol(WatchedProtocol):
    """uvicorn's protocol on httptools (llhttp), within limits.

    The app is asked when a request is complete, so that a client which sends slowly holds a connection and the bytes
    it has sent, and no place among the predictions. A request that is refused here is answered by the app all the
    same, which finds the problem in ``scope["state"]["refusal"]``: so it is logged and counted like any other.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = httptools.HttpRequestParser(self)  # as strict as it comes
        state = cast("FastAPI", config.app).state
        self._admission: Admission = state.admission
        self._access: Access = state.access
        self._framing: list[tuple[bytes, bytes]] = []  # the headers that `check_framing` reads
        self._dropped = False  # the request that arrives is refused already

    def data_received(self, data: bytes) -> None:
        """Parse what arrives, but of a head no byte more than one may have."""
        start = 0
        while start < len(data) and not self._deaf:
            piece = data[start : start + self._all.max_head - self._fed]
            start += len(piece)
            self._fed += len(piece)
            self._feed(piece)
            if self._fed >= self._all.max_head and not self._deaf:
                self.refuse(too_long(self.url, self._all.max_head))
        if self._waiting is not None or self.pipeline:
            self._check_access()
            self._hold_bodies()
            self._all.bound_bodies(self.loop.time())

    def _check_access(self) -> None:
        """Wait for no body of a request that will be refused for its name, origin or key: the app says why."""
        cycle = self.cycle
        if cycle.ready or cycle.admitted:
            return
        try:
            self._access.check(cast("dict[str, Any]", cycle.scope), counts=False)
        except ProblemError:
            self._give_up(cycle)
            cycle.body.clear()
            if cycle is self._waiting:
                self._take_up(cycle)
        cycle.admitted = True

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if not self._deaf:
                self._decline(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if not self._deaf:
                cause = error.__context__  # what a method of this class has raised
                detail = f"The request is not valid HTTP/1.1: {error}."
                self.refuse(cause if isinstance(cause, ProblemError) else ProblemError(400, detail))

    def _decline(self, rest: bytes) -> None:
        """Read a request as if it did not offer to upgrade; `rest` is what follows its head."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self.refuse(ProblemError(501, "This is no proxy. Ask it for a path."))
        else:
            self._feed(without_upgrade(method, self.url, version, self.headers) + rest)

    def on_message_begin(self) -> None:
        """Begin a request, unless too many wait for their turn."""
        self.url, self.headers, self._framing, self._dropped = b"", [], [], False
        if len(self.pipeline) >= MAX_PIPELINED:
            self.pipeline[0][0].keep_alive = False
            self._deaf = True
        elif self._owed:
            self._deaf = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header."""
        name = name.lower()
        self.headers.append((name, value))
        if name in FRAMING:
            self._framing.append((name, value))

    def on_headers_complete(self) -> None:
        """Make a request of the head, which waits for its body and for its turn."""
        parser = self.parser
        if self._deaf or parser.should_upgrade():
            return
        version = parser.get_http_version()
        check_size(version, self.url, self.headers)
        length, expects_100 = check_framing(version, self._framing)
        self._fed, before = 0, self.cycle
        method, keep_alive = parser.get_method(), version == "1.1" and parser.should_keep_alive()
        busy = before is not None and not before.response_complete
        if keep_alive and not busy and self._admission.refuses(method, self.url, length or 0, self._answer):
            self._dropped = self._owed = True
            self._deaf = expects_100 or length is None or length > self._all.max_body  # its end may never come
            return
        self._make_cycle(method.decode("ascii"), version, keep_alive=keep_alive, expects_100=expects_100)
        if length != 0:
            path = path_of(cast("dict[str, Any]", self.cycle.scope))
            self.cycle.max_body = body_limit(path, self._all.max_body)
            if length is not None and length > self.cycle.max_body:
                self._give_up(self.cycle)
        self._queue(before)

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body, up to the first that is too much."""
        self._fed = 0
        if self._dropped:  # what is sent buys time for the rest
            self._since = min(self.loop.time(), self._since + len(body) / LEAST_RATE)
        if self._deaf or self._dropped:
            return
        cycle = self.cycle
        cycle.body += body
        if len(cycle.body) > cycle.max_body:
            self._give_up(cycle)
            cycle.message_event.set()
            if cycle is self._waiting:
                self._take_up(cycle)

    def on_message_complete(self) -> None:
        """Ask the app, if it is the turn of this request."""
        if self._deaf or self.parser.should_upgrade():
            return
        self._fed = 0
        if self._dropped:
            return
        cycle = self.cycle
        cycle.more_body, cycle.ready = False, True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._deaf = True  # RFC 9112, 9.6: no request after this one
        if cycle is self._waiting:
            self._take_up(cycle)

    def on_response_complete(self) -> None:
        """Turn to the next request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._take_up(cast("Cycle", self.pipeline.pop()[0]))
        if self._held:
            self._hold_bodies()

    def _answer(self, response: bytes) -> None:
        """Send a whole response to a request of which nothing is kept."""
        if self.transport.is_closing():
            return
        self._owed = False
        if self._deaf:
            response = response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        self.transport.write(response)
        if self._deaf:
            self.linger()
        self.on_response_complete()

    def _make_cycle(self, method: str, version: str, *, keep_alive: bool, expects_100: bool) -> None:
        path, raw_path, query = parts_of(self.url) if method else ("", b"", b"")
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method,
            "root_path": self.root_path,
            "path": self.root_path + path,
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        self.headers = []  # of trailers, which are of no interest
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects_100,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _queue(self, before: Cycle | None) -> None:
        """Let the last request wait for its turn, if the one before it is still answered."""
        if before is None or before.response_complete:
            self._take_up(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _take_up(self, cycle: Cycle) -> None:
        """Begin with a request whose turn it is: ask the app, or wait for its body."""
        self._front = cycle
        if cycle.ready:
            self._waiting = None
            begin = functools.partial(self._start_asgi_task, cycle, self.app)
            if cycle.more_body or cycle.scope["method"] != "POST":
                begin()
            else:
                scope = cast("dict[str, Any]", cycle.scope)
                self._admission.start(scope, len(cycle.body), begin, cycle.answer)
        else:
            self._waiting = cycle
            self._body_pace.restart(self.loop.time(), len(cycle.body))

    def _give_up(self, cycle: Cycle) -> None:
        """Ask the app without the rest of the body, hear nothing more, and close after the answer."""
        self._deaf = cycle.ready = True
        cycle.keep_alive = False
        cycle.transport = cast("asyncio.Transport", Lingering(self))

    def refuse(self, problem: ProblemError) -> None:
        """Answer the request that arrives with a problem, when it is its turn, and close."""
        if self._owed:  # that comes first
            self._deaf = True
            return
        before = self.cycle
        half_sent = before is not None and not before.ready
        if not half_sent:
            self.headers = []  # some of them may be what is wrong
            self._make_cycle("", "1.1", keep_alive=False, expects_100=False)
        cycle = self.cycle
        cycle.scope["state"]["refusal"] = problem
        cycle.body.clear()
        self._give_up(cycle)
        if not half_sent:
            self._queue(before)
        elif cycle is self._waiting:
            self._take_up(cycle)
        self._hold_bodies()

    def _hold_bodies(self) -> None:
        """Count the bodies that have arrived or are arriving, and ask for the rest if the client waits to be asked."""
        waiting = self._waiting
        if waiting is not None and waiting.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            waiting.waiting_for_100_continue = False
        held = sum(len(cycle.body) for cycle, _ in self.pipeline) + (len(waiting.body) if waiting else 0)
        grown, self._held = held - self._held, held
        self._all.hold_body(grown)
