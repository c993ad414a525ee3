"""What the champion was asked, asked of the challenger too: by a process beside the service, off the path of requests.

A process, because a thread would hold the interpreter's lock while it predicts, and so make the champion wait. The
service appends to a bounded deque; one thread hands on what the process takes, and drops what it does not.
"""

import fcntl
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from portfolio_shared.serving.settings import ServiceSettings

_log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "portfolio_shared.serving.shadow_process")
TICK_SECONDS = 0.1
CAPACITY = 2_000  # requests that may wait
CAPACITY_BYTES = 16_000_000  # and their bodies, with those that are arriving
PIPE_BYTES = 2**20  # the most that Linux gives everybody; a pipe has 65,536 otherwise
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a process that has ended is started again
END_SECONDS = 5.0  # that it gets to write what it knows
SECRETS = {"subject_key", "trace_headers", "api_keys", "api_key_file"}  # settings that the process has no use for
OUTCOMES = ("answered", "failed", "no_challenger", "lost")  # that the process tells; `dropped` it never saw
LENGTHS = struct.Struct(">II")  # of a frame's head and body
_PASSED_ON = frozenset({b"content-type", b"content-encoding"})


class Mirrored(NamedTuple):
    """A request that the champion of a version has answered: its row is in the log, or soon will be."""

    prediction: str
    version: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: list[bytes]
    size: int


class ShadowState(NamedTuple):
    """Who is the challenger, why there is none or no answer of it, and what became of the requests."""

    challenger: str | None
    error: str | None
    counts: dict[str, int]
    deaths: int


class Body:
    """The parts of a request's body, kept while they arrive: all of them, or none where there is no room."""

    def __init__(self, shadow: "Shadow") -> None:
        self._shadow = shadow
        self.parts: list[bytes] = []
        self.size = 0
        self.kept = True

    def append(self, part: bytes) -> None:
        """Keep a part, if there is room for it."""
        self.kept = self.kept and self._shadow.take(len(part))
        if self.kept:
            self.parts.append(part)
            self.size += len(part)

    def drop(self) -> None:
        """Give the room back, unless the request is mirrored."""
        self._shadow.take(-self.size)
        self.size = 0


class Shadow(Collector):
    """The challenger's process and what it is asked: nothing of this waits, or fails a request.

    `new_body`, `take` and `add` are called on the event loop.

    Parameters
    ----------
    settings
        Of the service. The challenger's rows are written where its predictions are.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._factory = ""
        self._waiting: deque[Mirrored] = deque()
        self._taken_bytes = 0  # changed by the event loop,
        self._given_bytes = 0  # and this by the thread
        self._dropped = 0  # by the event loop
        self._counts = dict.fromkeys(OUTCOMES, 0)  # by the thread, as everything below
        self._challenger: str | None = None
        self._error: str | None = "the challenger's process is still to start"
        self._deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = memoryview(b"")  # of the requests that are being handed on
        self._asked = 0  # requests that the process was given and has said nothing of
        self._heard = b""  # the beginning of a line of it
        self._pause, self._start_at, self._started = FIRST_PAUSE, 0.0, 0.0
        self._logged = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self, factory: str) -> None:
        """Start the thread, which starts the process: it makes the app by this ``"module:function"`` of its settings.

        The first parameter of the function is annotated with the class of the settings.
        """
        self._factory = factory
        self._thread.start()

    def close(self) -> None:
        """End the process and the thread."""
        self._stop.set()
        self._thread.join(timeout=2 * END_SECONDS)

    def take(self, size: int) -> bool:
        """Return whether so many more bytes may be kept, and count them if so."""
        if self._taken_bytes - self._given_bytes + size > CAPACITY_BYTES:
            return False
        self._taken_bytes += size
        return True

    def new_body(self) -> Body:
        """Return what keeps the body of a request that is arriving."""
        return Body(self)

    def add(self, body: Body, scope: Scope, *, path: str, version: str) -> None:
        """Let the challenger be asked what the champion of a version has answered; never waits."""
        id_, query = scope["state"]["answer_id"], scope["query_string"]
        headers = [header for header in scope["headers"] if header[0] in _PASSED_ON]
        about = len(query) + sum(len(value) for _, value in headers)
        if not body.kept or len(self._waiting) >= CAPACITY or not self.take(about):
            self._dropped += 1
            return
        self._waiting.append(Mirrored(id_, version, path, query, headers, body.parts, body.size + about))
        body.size = 0  # the thread gives the room back

    def state(self) -> ShadowState:
        """Return what is known now."""
        return ShadowState(self._challenger, self._error, self._counts | {"dropped": self._dropped}, self._deaths)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        state = self.state()
        requests = CounterMetricFamily("shadow_requests", "Requests mirrored to the challenger", labels=["outcome"])
        for outcome, count in state.counts.items():
            requests.add_metric([outcome], count)
        yield requests
        yield CounterMetricFamily("shadow_process_deaths", "Ends of the challenger's process", value=state.deaths)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            try:
                self._tick()
            except Exception:  # noqa: BLE001 - without this thread nothing would be mirrored any more
                _log.exception("the challenger's process is given up for now")
                self._bury()
        self._end()

    def _tick(self) -> None:
        if self._process is None:
            if time.monotonic() < self._start_at:
                return
            self._process = self._spawn()
        with suppress(BrokenPipeError):  # it has ended, which the next line sees
            self._hand_on(self._process)
        self._listen(self._process)
        if self._process.poll() is not None:
            self._listen(self._process)  # once more: its last words may have come since
            self._bury()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # In the session of the service: niceness counts within one, where Linux groups tasks by session.
        pipe = subprocess.PIPE
        hidden = {(self._settings.model_config["env_prefix"] + name).upper() for name in SECRETS}
        environment = {name: value for name, value in os.environ.items() if name.upper() not in hidden}
        process = subprocess.Popen(  # noqa: S603 - this Python
            COMMAND, stdin=pipe, stdout=pipe, bufsize=0, env=environment
        )
        self._started = time.monotonic()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - as it was just asked for
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # a container may have used up its share: a smaller pipe works as well
                fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for stream in (process.stdin, process.stdout):
            os.set_blocking(stream.fileno(), False)
        told = self._settings.model_dump(mode="json", exclude=SECRETS)
        self._rest = memoryview(packed({"factory": self._factory, "settings": told}, b""))
        self._asked, self._heard = 0, b""
        return process

    def _hand_on(self, process: subprocess.Popen[bytes]) -> None:
        """Write what waits until the pipe is full."""
        assert process.stdin is not None  # noqa: S101 - see _spawn
        while self._rest or self._waiting:
            if not self._rest:
                self._rest = memoryview(self._next_frames())
            try:
                self._rest = self._rest[os.write(process.stdin.fileno(), self._rest) :]
            except BlockingIOError:
                return

    def _next_frames(self) -> bytes:
        frames, size = [], 0
        while self._waiting and size < PIPE_BYTES:
            request = self._waiting.popleft()
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
            head = {
                "id": request.prediction,
                "champion": request.version,
                "path": request.path,
                "query": request.query.decode("latin-1"),
                "headers": headers,
            }
            frames.append(packed(head, b"".join(request.body)))
            size += request.size
            self._asked += 1
        self._given_bytes += size
        return b"".join(frames)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Read what the process says: one JSON object a line, of what became of requests since the line before."""
        assert process.stdout is not None  # noqa: S101 - see _spawn
        while said := process.stdout.read(65_536):
            *lines, self._heard = (self._heard + said).split(b"\n")
            for line in lines:
                self._note(json.loads(line))

    def _note(self, said: dict[str, Any]) -> None:
        for outcome, count in said["counts"].items():
            self._counts[outcome] += count
            self._asked -= count
        self._challenger, self._error = said["challenger"], said["error"]

    def _bury(self) -> None:
        """Account for a process that has ended, and let it be started again after a pause, each time a longer one."""
        process, self._process = self._process, None
        ending = "it does not start" if process is None else _kill(process)
        if time.monotonic() - self._started > LONGEST_PAUSE:
            self._pause, self._logged = FIRST_PAUSE, ""
        self._start_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._counts["lost"] += self._asked
        self._deaths += 1
        self._asked, self._rest, self._challenger = 0, memoryview(b""), None
        self._error = f"the challenger's process has ended ({ending}) and is started again after a pause"
        if self._logged != self._error:  # once, and not each time
            _log.error(self._error)
        self._logged = self._error

    def _end(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None  # noqa: S101 - see _spawn
        self._process.send_signal(signal.SIGUSR1)  # it looks at no further request, and writes what it knows
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=END_SECONDS)
        _kill(self._process)


def _kill(process: subprocess.Popen[bytes]) -> str:
    """End a process if it has not ended, and return how it ended."""
    process.kill()  # nothing to one that has
    code = process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    return signal.Signals(-code).name if code < 0 else f"code {code}"


def packed(head: dict[str, Any], body: bytes) -> bytes:
    """Return a frame of the pipe: two lengths, what is said of a request as JSON, and its body."""
    said = json.dumps(head).encode()
    return LENGTHS.pack(len(said), len(body)) + said + body
