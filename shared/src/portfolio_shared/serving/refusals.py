"""Refusals that cost next to nothing: made once, sent together a little later, counted and logged once a second.

A service that refuses through its app spends a seventh of an answer on it, and with enough clients that ask again at
once it does nothing else (`benchmarks/overload.py`). Written here because refusing before the app is the point.
"""

import logging
import uuid
from asyncio import get_running_loop
from collections import deque
from collections.abc import Callable

from portfolio_shared.serving.exchange import SECURITY_HEADERS
from portfolio_shared.serving.problems import ProblemError, problem_response

_log = logging.getLogger(__name__)

Send = Callable[[bytes], None]

TICK_SECONDS = 0.005
DELAY_TICKS = 7
"""After 30 to 35 ms a refusal is sent: a client that asks again at once gets 33 a second at most."""
REPORT_SECONDS = 1.0
MOST_PATHS = 100  # that are told apart in a second: a client can invent any number


class Refusals:
    """The requests of a service that are refused because it is full.

    Parameters
    ----------
    problem
        What they are told. Its `instance`, and the header X-Request-ID, is that of the log line that counts them.
    count
        Called about once a second with a path and how many of its requests were refused.
    """

    def __init__(self, problem: ProblemError, count: Callable[[str, int], None]) -> None:
        self._problem = problem
        self._count = count
        self._paths: dict[bytes, int] = {}
        self._later = deque[list[Send]]([[] for _ in range(DELAY_TICKS)])  # by tick
        self._waiting = 0
        self._renew()

    def add(self, path: bytes, send: Send) -> None:
        """Count a request, and have `send` called with its response after a short while."""
        paths = self._paths
        if not paths:
            get_running_loop().call_later(REPORT_SECONDS, self._report)
        if path not in paths and len(paths) >= MOST_PATHS:
            path = b""
        paths[path] = paths.get(path, 0) + 1
        self._later[-1].append(send)
        if not self._waiting:
            get_running_loop().call_later(TICK_SECONDS, self._tick)
        self._waiting += 1

    def _tick(self) -> None:
        due = self._later.popleft()
        self._later.append([])
        self._waiting -= len(due)
        response = self._response
        for send in due:
            send(response)
        if self._waiting:
            get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _report(self) -> None:
        refused, self._paths = self._paths, {}
        fields = {"request_id": self._id, "status": self._problem.status_code, "refused": sum(refused.values())}
        _log.warning("requests were refused: the service is full", extra={"fields": fields})
        for path, count in refused.items():
            self._count(path.partition(b"?")[0].decode("latin-1"), count)
        self._renew()

    def _renew(self) -> None:
        self._id = uuid.uuid4().hex
        answer = problem_response(self._problem, self._id)
        headers = [*answer.raw_headers, (b"x-request-id", self._id.encode()), *SECURITY_HEADERS]
        lines = [b"HTTP/1.1 429 Too Many Requests", *(name + b": " + value for name, value in headers), b"", b""]
        self._response = b"\r\n".join(lines) + bytes(answer.body)
