"""One request and its response, as the middleware sees them: counted, with the headers of all."""

import os
import re
import time
from typing import TYPE_CHECKING

from starlette.types import Message, Receive, Scope, Send

from portfolio_shared.serving.problems import ProblemError, problem_response
from portfolio_shared.serving.routes import path_of
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.serving.unpacking import unpacked

if TYPE_CHECKING:  # of no use to a service without traces or shadow, and the second loads OpenTelemetry
    from portfolio_shared.serving.shadow import Body
    from portfolio_shared.serving.tracing import RequestSpan

FEEDBACK_PATH = "/v1/feedback"
SMALL_BYTES = 256_000  # of feedback: a thousand films are a third of it

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

# Pages load nothing from elsewhere and run no inline script; data: and blob: images are the ones a page draws itself.
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", _CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


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
        self._max_bytes = body_limit(self.path, settings.max_body_bytes)
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
        self.request_id = self.request_id or os.urandom(16).hex()

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
        message = await self._receive()
        if self._body_complete:
            return message  # after a wait until the client has gone away
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
            message = {**message, "headers": [*message.get("headers", ()), *own, *SECURITY_HEADERS]}
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


def body_limit(path: str, most: int) -> int:
    """Return how many bytes a body may have: `most` for predictions, less for feedback and where none is expected."""
    return most if path.startswith("/v1/") and path != FEEDBACK_PATH else min(most, SMALL_BYTES)
