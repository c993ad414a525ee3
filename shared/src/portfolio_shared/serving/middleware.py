"""One ASGI middleware for what every request passes: id, limits, headers, log line, metrics, span, last resort.

Written here because four packages (request ids, metrics, JSON logs, problems) would wrap each request four times; one
pass costs less than a route without parameters (`benchmarks/serving_cost.py`).
"""

import asyncio
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portfolio_shared.serving.logs import log_request
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.pool import too_many_requests
from portfolio_shared.serving.prediction_log import PredictionLog, Waiting, hashed_subject
from portfolio_shared.serving.problems import ProblemError, problem_response
from portfolio_shared.serving.routes import RouteTable, path_of
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.serving.unpacking import unpacked

if TYPE_CHECKING:  # of no use to a service without traces or shadow, and the first loads OpenTelemetry
    from portfolio_shared.serving.shadow import Body, Shadow
    from portfolio_shared.serving.tracing import RequestSpan, Tracing

_log = logging.getLogger(__name__)

HTTP_OK = 200
FEEDBACK_PATH = "/v1/feedback"
FEEDBACK_AT_ONCE = 16  # beside the predictions, whose places it would take while the database hangs
FEEDBACK_BYTES = 256_000  # a thousand films are a third of it
CLIENT_CLOSED_REQUEST = 499  # nginx's code, for logs and metrics only: nobody is left to read a response

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

# Pages load nothing from elsewhere and run no inline script; data: and blob: images are the ones a page draws itself.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = [
    (b"content-security-policy", _CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class ServiceMiddleware:
    """One pure ASGI middleware instead of one for each concern: a request is wrapped once.

    Starlette's BaseHTTPMiddleware is not used, because it runs each request in a task and a stream of its own, which
    costs more than everything here together.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServiceSettings,
        metrics: ServiceMetrics,
        table: RouteTable,
        log: PredictionLog | None,
        tracing: "Tracing | None" = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        self._app = app
        self._log = log
        self._shadow = shadow
        self._tracing = tracing
        self._subject_key = settings.subject_key.get_secret_value()
        self._settings = settings
        self._metrics = metrics
        self._table = table
        self._active = self._active_feedback = 0  # in progress; changed on the event loop only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and account for it whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._settings)
        if self._tracing is not None and exchange.path.startswith("/v1/"):  # no probe, scrape or page
            exchange.span = self._tracing.request(scope)
        state = exchange.scope.setdefault("state", {})
        state["request_id"], state["subject"] = exchange.request_id, exchange.subject
        self._metrics.in_flight.inc()
        try:
            await self._answer(exchange)
        finally:
            self._metrics.in_flight.dec()
            self._account(exchange)

    async def _answer(self, exchange: "Exchange") -> None:
        feedback = exchange.path == FEEDBACK_PATH
        counted = exchange.method == "POST" and exchange.path.startswith("/v1/") and not feedback
        try:
            exchange.refuse_large_body()
            if counted and self._shadow is not None:
                exchange.body = self._shadow.new_body()
            receive = exchange.unpacked()
            self._refuse_when_full(counted=counted, feedback=feedback)
            self._active += counted
            self._active_feedback += feedback
            try:
                await self._app(exchange.scope, receive, exchange.send)
            finally:
                self._active -= counted
                self._active_feedback -= feedback
        except ProblemError as problem:
            await exchange.respond(problem)
        except Exception:
            if exchange.cut_off:
                return  # a route that reads its body itself has learned that the client has gone
            _log.exception("unexpected error", extra={"fields": {"request_id": exchange.request_id}})
            if exchange.status is not None:
                raise  # half a response is out: only closing the connection tells the client
            detail = f"The service failed. Its log has the reason under the request id {exchange.request_id}."
            await exchange.respond(ProblemError(500, detail))

    def _refuse_when_full(self, *, counted: bool, feedback: bool) -> None:
        if counted and self._active >= self._settings.max_concurrent_requests:
            raise too_many_requests(self._settings.max_concurrent_requests)
        if feedback and self._active_feedback >= FEEDBACK_AT_ONCE:
            detail = "Too much feedback waits to be kept. Send it again later."
            raise ProblemError(503, detail, headers={"Retry-After": "1"})

    def _account(self, exchange: "Exchange") -> None:
        route = self._table.template(exchange.scope)
        method = exchange.method
        seconds = time.perf_counter() - exchange.started
        status = CLIENT_CLOSED_REQUEST if exchange.cut_off else exchange.status or 500
        state = exchange.scope["state"]
        version, items = state.get("predicted", ("", 0))
        self._metrics.observe(route=route, method=method, status=status, version=version, seconds=seconds)
        if (observe := state.get("canary")) is not None:  # the answer is one of two models'
            observe(status, state)
        ids = {"request_id": exchange.request_id}
        if status == HTTP_OK and items:
            ids["prediction_id"] = state["answer_id"]
            if self._log is not None:
                asked, answered = state.get("logged_bodies") or (state["body"], b"".join(exchange.response))
                self._log.add(
                    Waiting(
                        id=state["answer_id"],
                        at=time.time(),
                        version=version,
                        route=route,
                        subject=hashed_subject(exchange.subject, self._subject_key),
                        items=items,
                        milliseconds=seconds * 1000,
                        request=asked,
                        response=answered,
                    )
                )
            if self._shadow is not None and exchange.body is not None:
                self._shadow.add(exchange.body, exchange.scope, path=exchange.path, version=version)
        if exchange.body is not None:
            exchange.body.drop()
        if exchange.span is not None:
            exchange.span.end(method=method, route=route, status=status, version=version, ids=ids)
            ids["trace_id"] = exchange.span.trace_id
        log_request(ids, method=method, route=route, status=status, seconds=seconds)


class Exchange:
    """One request and its response: the `receive` and `send` that the app gets in place of the server's.

    HEAD is asked of the app as GET, and its answer sent without the body.

    Attributes
    ----------
    method, path
        As the client sent them, the path below the prefix of a proxy.
    request_id
        The client's X-Request-ID if it is harmless, else a new one.
    status
        Status of the response, None until it starts.
    subject
        Whom the request is about, as its last header X-Subject says, or nothing.
    response
        The parts of the body of an answered prediction.
    body
        That of the request as it arrives, where the challenger may be asked too.
    span
        That of the request, where it is traced.
    cut_off
        Whether the client went away before its body was complete.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServiceSettings) -> None:
        self.method: str = scope["method"]
        self.path = path_of(scope)
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.started = time.perf_counter()
        self.status: int | None = None
        self.cut_off = False
        self.request_id = ""
        self.subject = b""
        self.response: list[bytes] = []
        self.body: Body | None = None
        self.span: RequestSpan | None = None
        self._receive = receive
        self._send = send
        self._settings = settings
        most = settings.max_body_bytes
        self._max_bytes = min(most, FEEDBACK_BYTES) if self.path == FEEDBACK_PATH else most
        self._received = 0
        self._body_complete = False
        self._content_length = 0
        self._codings = b""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                self._content_length = int(value)
            elif name == b"content-encoding":
                self._codings += b"," + value
            elif name == b"x-request-id" and _SANE_ID.fullmatch(value):
                self.request_id = value.decode()
            elif name == b"x-subject":
                self.subject = value
        self.request_id = self.request_id or uuid.uuid4().hex

    def refuse_large_body(self) -> None:
        """Raise 413 if the client announces a body above the limit: before a byte of it is read."""
        if self._content_length > self._max_bytes:
            raise self._too_large()

    def unpacked(self) -> Receive:
        """Return the `receive` for the app: of the body as it was before the client packed it."""
        if not self._codings:
            return self.receive
        return unpacked(self.receive, self._codings.decode("latin-1"), limit=self._max_bytes)

    async def receive(self) -> Message:
        """Receive a part of the body, counted: a chunked body has no announced length."""
        if self._body_complete:
            return await self._receive()  # waits until the client goes away
        deadline = self._settings.request_timeout_seconds - (time.perf_counter() - self.started)
        try:
            async with asyncio.timeout(deadline):
                message = await self._receive()
        except TimeoutError:
            detail = f"The body did not arrive within {self._settings.request_timeout_seconds:g} s."
            raise ProblemError(408, detail, headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            self.cut_off = True
            return message
        if self.body is not None:
            self.body.append(message.get("body", b""))
        self._received += len(message.get("body", b""))
        if self._received > self._max_bytes:
            raise self._too_large()
        self._body_complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers that every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", self.request_id.encode())]
            if self.span is not None:
                own.append((b"traceresponse", self.span.header))
            message = {**message, "headers": [*message.get("headers", ()), *own, *_SECURITY_HEADERS]}
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        elif "predicted" in self.scope["state"]:
            self.response.append(message.get("body", b""))
        await self._send(message)

    async def respond(self, problem: ProblemError) -> None:
        """Answer with a problem, unless a response has already started."""
        if self.status is None:
            await problem_response(problem, self.request_id)(self.scope, self._receive, self.send)

    def _too_large(self) -> ProblemError:
        detail = f"The body is larger than {self._max_bytes} bytes, the limit. Split it into smaller requests."
        return ProblemError(413, detail)
