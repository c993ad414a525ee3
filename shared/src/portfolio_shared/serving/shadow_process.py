"""The challenger's process: the service's app without its server, asked what `Shadow` sends down a pipe.

It takes what the machine has left, writes its answers beside those of the champion, and ends with its parent.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from portfolio_shared.operations.database import RefusedRowError, StoreError
from portfolio_shared.operations.store import Shadow as Row
from portfolio_shared.operations.store import Store, connect
from portfolio_shared.serving.logs import configure_logging
from portfolio_shared.serving.models import ModelNotReady, in_public
from portfolio_shared.serving.server import limit_blas_threads
from portfolio_shared.serving.shadow import LENGTHS
from portfolio_shared.serving.shadow_calls import LONGEST_SECONDS, LONGEST_WAIT_SECONDS, answer_of, app_of

_log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000_000  # of memory; one that leaks ends
WRITE_SECONDS = 1.0
PATIENCE_SECONDS = 15.0  # a row may come before its prediction, which is written within a second where all is well
ROWS_AT_ONCE = 10  # in a transaction: while it lasts, which is long on busy cores, the champion's writers wait
MOST_ROWS = 1_000  # that wait; with so many, no other request is looked at
DIFFERENT_LINES = 100  # of its log
REMEMBERED_SECONDS = 3600.0  # then they may come again


class Challenger:
    """The app, what it is asked, and what waits to be written.

    Parameters
    ----------
    app
        Whose champion is the challenger.
    url
        Of the prediction log.
    report
        Takes a line for the parent.
    """

    def __init__(self, app: FastAPI, url: str, report: Callable[[dict[str, Any]], object]) -> None:
        self._app, self._url, self._report = app, url, report
        self._counts: Counter[str] = Counter()
        self._parent = os.getppid()
        self._rows: deque[Row] = deque()
        self._room = asyncio.Event()
        self._store: Store | None = None
        self._storing = time.time()  # since when the log can be used
        self._error: str | None = None
        self._reported: dict[str, Any] = {}

    async def run(self, requests: FileIO) -> None:
        """Answer until the pipe ends, or the parent says so by SIGUSR1."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=2**20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), requests)
        async with self._app.router.lifespan_context(self._app):
            answering = asyncio.create_task(self._keep_answering(reader))
            writing = asyncio.create_task(self._keep_writing(answering))
            loop.add_signal_handler(signal.SIGUSR1, answering.cancel)
            try:
                await writing
            finally:
                signal.alarm(LONGEST_SECONDS)  # a thread that hangs must not keep this from its end
        if not answering.cancelled():
            answering.result()

    async def _keep_answering(self, reader: asyncio.StreamReader) -> None:
        while (frame := await read_frame(reader)) is not None:
            await self._ask(*frame)
            if len(self._rows) >= MOST_ROWS:
                self._room.clear()
                await self._room.wait()

    async def _ask(self, request: dict[str, Any], body: bytes) -> None:
        started = time.perf_counter()
        limit(processor=LONGEST_SECONDS, clock=LONGEST_WAIT_SECONDS)
        try:
            answer = await answer_of(self._app, request, body)
        finally:
            limit(processor=0, clock=0)
        if not answer.version:
            self._counts[answer.outcome] += 1
            return
        milliseconds = (time.perf_counter() - started) * 1000
        response = answer.response.decode(errors="replace")
        self._rows.append(Row(request["id"], answer.version, time.time(), milliseconds, response))

    async def _keep_writing(self, answering: asyncio.Task[None]) -> None:
        """Write every second and once more at the end, and tell the parent, which may have gone without a word."""
        ended = False
        while not ended:
            if os.getppid() != self._parent:
                answering.cancel()
            await asyncio.wait({answering}, timeout=WRITE_SECONDS)
            ended = answering.done()
            await asyncio.to_thread(self._write)
            if len(self._rows) < MOST_ROWS:
                self._room.set()
            self._tell()
            if (used := memory()) > MOST_BYTES:
                raise MemoryError(f"the challenger's process takes {used / 1e6:,.0f} MB: it leaks, or is too large")

    def _write(self) -> None:
        """Write the rows whose prediction is in the log; the others wait."""
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        try:
            while rows:
                self._write_some(rows[:ROWS_AT_ONCE])
                del rows[:ROWS_AT_ONCE]
        except StoreError as error:
            if self._error is None:
                _log.error("the challenger's answers are not written: %s", error)
            self._error, self._storing = "the prediction log cannot be used", time.time()
            self._rows.extend(rows)
            if self._store is not None:
                with suppress(Exception):  # it may be broken already
                    self._store.close()
            self._store = None
        else:
            self._error = None

    def _write_some(self, rows: list[Row]) -> None:
        self._store = self._store or connect(self._url)
        marks = ", ".join("?" * len(rows))
        statement = f"SELECT id FROM predictions WHERE id IN ({marks})"  # noqa: S608 - marks of ours
        known = {id_ for (id_,) in self._store.execute(statement, [row.prediction for row in rows])}
        there = [row for row in rows if row.prediction in known]
        written = self._insert(self._store, there)
        self._counts["answered"] += written
        self._counts["lost"] += len(there) - written
        for row in rows:
            if row.prediction in known:
                continue
            if time.time() - max(row.at, self._storing) > PATIENCE_SECONDS:
                self._counts["lost"] += 1
            else:
                self._rows.append(row)

    def _insert(self, store: Store, rows: list[Row]) -> int:
        """Write rows, and return how many: one that the database refuses takes no other with it."""
        try:
            return store.insert_shadows(rows)
        except RefusedRowError as error:
            if len(rows) == 1:
                _log.error("a challenger's answer is lost: %s", error)
                return 0
            return sum(self._insert(store, [row]) for row in rows)

    def _tell(self) -> None:
        """Tell the parent what is new."""
        try:
            version, error = self._app.state.rollout.models.current().version, self._error
        except ModelNotReady as reason:
            version, error = None, in_public(str(reason))
        said = {"counts": {}, "challenger": version, "error": error}
        counts = dict(+self._counts)
        self._counts.clear()
        if counts or said != self._reported:
            self._report(said | {"counts": counts})
        self._reported = said


async def read_frame(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes] | None:
    """Read what `packed` has made, or None at the end of the pipe."""
    try:
        head, body = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
        return json.loads(await reader.readexactly(head)), await reader.readexactly(body)
    except asyncio.IncompleteReadError:
        return None


def memory() -> int:
    """Return the bytes of memory that this process takes, 0 where the kernel does not say."""
    sizes = Path("/proc/self/statm")
    return int(sizes.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if sizes.exists() else 0


def limit(*, processor: float, clock: float) -> None:
    """Let the kernel end this process after so many seconds, whatever holds the interpreter's lock; 0 lifts a limit."""
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)


def give_way() -> None:
    """Let everybody else come first: for a core, and where memory ends, for who stays."""
    os.nice(19)
    with suppress(OSError):  # Linux alone has it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


class Once(logging.Filter):
    """Lets each text pass once an hour, and so many texts: a challenger that fails, fails at every request."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()
        self._since = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written, and name the process in it."""
        record.fields = {"process": "challenger"} | getattr(record, "fields", {})
        text = record.getMessage()
        if record.created - self._since > REMEMBERED_SECONDS:
            self._seen.clear()
            self._since = record.created
        if text in self._seen or len(self._seen) >= DIFFERENT_LINES:
            return False
        self._seen.add(text)
        return True


def read_exactly(pipe: FileIO, size: int) -> bytes:
    """Read so many bytes and no more; what follows is the event loop's."""
    read = b""
    while len(read) < size:
        part = pipe.read(size - len(read))
        if not part:
            sys.exit(0)  # the parent has gone
        read += part
    return read


def main() -> None:
    """Be the challenger of the parent that the standard streams lead to."""
    for number in (signal.SIGINT, signal.SIGTERM):  # those to a group reach the parent as well, which ends this
        signal.signal(number, signal.SIG_IGN)
    give_way()
    limit_blas_threads()
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints, prints to the parent's log
    configure_logging("warning")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Once())
    pipe = FileIO(sys.stdin.fileno(), closefd=False)
    head, body = LENGTHS.unpack(read_exactly(pipe, LENGTHS.size))
    told = json.loads(read_exactly(pipe, head + body))
    url = told["settings"]["prediction_log"]
    try:
        challenger = Challenger(app_of(**told), url, lambda said: lines.write(json.dumps(said) + "\n"))
        asyncio.run(challenger.run(pipe))
    except Exception:  # noqa: BLE001 - whatever it is, as a line of the log
        _log.exception("the challenger's process ends")
        sys.exit(1)


if __name__ == "__main__":
    main()
