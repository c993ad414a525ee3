"""What a service predicted, written down by one thread: a request never waits for the database and never fails for it.

Own code, because a logging handler or a queue wakes the writer for each row, which costs a third of the throughput.
"""

import hashlib
import hmac
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from portfolio_shared.operations.database import ConnectionLostError, RefusedRowError, StoreError
from portfolio_shared.operations.store import LoggedPrediction, Store, connect

T = TypeVar("T")

_log = logging.getLogger(__name__)

OFF = "off"  # instead of an address
WRITE_SECONDS = 0.5
LOOK_SECONDS = 0.1  # how often the writer looks whether more than WRITE_BYTES wait already
WRITE_BYTES = 1000000
RETAIN_SECONDS = 600.0
CAPACITY = 20_000  # rows that may wait
CAPACITY_BYTES = 16_000_000  # and their size
END_SECONDS = 10.0  # that the thread gets to write what waits
ASK_SECONDS = 2.0  # how long a question waits for another


class Waiting(NamedTuple):
    """A row that is not written yet: a request and its response are decoded by the thread that writes."""

    id: str
    at: float
    version: str
    route: str
    subject: str
    items: int
    milliseconds: float
    request: bytes
    response: bytes


class PredictionLog:
    """Rows on their way to a store: `add` appends to a bounded deque, one thread writes what is there.

    It writes every `WRITE_SECONDS`, or as soon as `WRITE_BYTES` wait.

    Attributes
    ----------
    written
        Rows in the database since the start.
    dropped
        Rows that were lost, by reason: `full` (more came than could be written), `database` (none could be written).
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        days: float,
        megabytes: float,
        connect: Callable[[str], Store] = connect,
    ) -> None:
        self._url, self._model, self._days, self._megabytes = url, model, days, megabytes
        self._connect = connect
        self._waiting: deque[Waiting] = deque()
        self._added = self._added_bytes = 0  # these are changed by the event loop,
        self._taken = self._taken_bytes = 0  # and these by the writer, when rows are written or lost
        self._store: Store | None = None
        self._asked: Store | None = None
        self._asking = threading.Lock()
        self._retained = 0.0
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self.written = 0
        self.dropped = {"full": 0, "database": 0}

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._stop.set()
        self._thread.join(timeout=END_SECONDS)
        if self._asking.acquire(timeout=ASK_SECONDS):  # else somebody waits for a database that hangs
            _close(self._asked)
            self._asking.release()

    def add(self, row: Waiting) -> None:
        """Let a row be written; called on the event loop, and never waits."""
        size = len(row.request) + len(row.response)
        if self._added - self._taken >= CAPACITY or self._added_bytes - self._taken_bytes + size > CAPACITY_BYTES:
            self.dropped["database" if self._failing else "full"] += 1
            return
        self._added += 1
        self._added_bytes += size
        self._waiting.append(row)

    def ask(self, question: Callable[[Store], T]) -> T:
        """Return what a function says of the store, on a connection of its own; one at a time.

        Raises
        ------
        StoreError
            If the store cannot be used; the next question connects anew. Where the connection had ended since the last
            question, a new one is tried at once.
        """
        if not self._asking.acquire(timeout=ASK_SECONDS):
            raise StoreError("the prediction log is busy")
        try:
            with suppress(ConnectionLostError):
                if self._asked is not None:
                    return self._put(question)
            return self._put(question)
        finally:
            self._asking.release()

    def _put(self, question: Callable[[Store], T]) -> T:
        try:
            self._asked = self._asked or self._connect(self._url)
            return question(self._asked)
        except StoreError:
            _close(self._asked)
            self._asked = None
            raise

    def _run(self) -> None:
        written = time.monotonic()
        while not self._stop.wait(LOOK_SECONDS):
            passed = time.monotonic() - written
            many = self._added_bytes - self._taken_bytes > WRITE_BYTES
            if passed >= WRITE_SECONDS or (many and not self._failing):
                written = time.monotonic()
                self._write()
        self._write()
        _close(self._store)
        if lost := len(self._waiting):
            _log.error("%d predictions are lost: they could not be written until the end", lost)

    def _write(self) -> None:
        rows = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._store = self._store or self._connect(self._url)
            if rows:
                written = self._insert(self._store, rows)
                self.written += written
                self.dropped["database"] += len(rows) - written
                self._forget_size(rows)
                rows = []
            if (now := time.time()) - self._retained > RETAIN_SECONDS:
                self._store.retain(self._model, since=now - 86_400 * self._days, megabytes=self._megabytes)
                self._retained = now
        except StoreError as error:
            self._waiting.extendleft(reversed(rows))  # for the next try; more that come are dropped when it is full
            if not self._failing:
                _log.error("predictions are not written: %s", error)
            self._failing = True
            _close(self._store)
            self._store = None
        except Exception:  # noqa: BLE001 - a mistake of ours; without this thread no other row would be written
            _log.exception("%d predictions are lost", len(rows))
            self.dropped["database"] += len(rows)
            self._forget_size(rows)
        else:
            if self._failing:
                _log.info("predictions are written again")
            self._failing = False

    def _insert(self, store: Store, rows: list[Waiting]) -> int:
        """Write rows, and return how many: one that the database refuses takes no other with it."""
        try:
            store.insert(map(self._logged, rows))
        except RefusedRowError as error:
            if len(rows) == 1:
                _log.error("a prediction is lost: %s", error)
                return 0
            half = len(rows) // 2
            return self._insert(store, rows[:half]) + self._insert(store, rows[half:])
        return len(rows)

    def _forget_size(self, rows: list[Waiting]) -> None:
        self._taken += len(rows)
        self._taken_bytes += sum(len(row.request) + len(row.response) for row in rows)

    def _logged(self, row: Waiting) -> LoggedPrediction:
        asked, answered = row.request.decode(errors="replace"), row.response.decode(errors="replace")
        return LoggedPrediction._make((*row[:2], self._model, *row[2:-2], asked, answered))


def _close(store: Store | None) -> None:
    if store is not None:
        with suppress(Exception):  # it may be broken already
            store.close()


def hashed_subject(subject: bytes, key: str) -> str:
    """Return what is kept of a person's name: a keyed hash, the same for the same person; without a key nothing.

    Without a secret anybody who reads the log could try names until one fits.
    """
    return hmac.digest(key.encode(), subject, hashlib.sha256).hex() if subject and key else ""


def new_id(*, now: float | None = None) -> str:
    """Return a time-ordered UUID, version 7 of RFC 9562: milliseconds since 1970, then 74 random bits.

    Own code, because Python has it from 3.14 on.
    """
    milliseconds = int((time.time() if now is None else now) * 1000)
    drawn = int.from_bytes(os.urandom(10))
    value = (milliseconds << 80) | (7 << 76) | ((drawn >> 68) << 64) | (2 << 62) | (drawn & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_of(prediction_id: str) -> float:
    """Return when `new_id` made an id, in seconds since 1970.

    Raises
    ------
    ValueError
        If it is no UUID of version 7.

    Examples
    --------
    >>> time_of(new_id(now=1_700_000_000.5))
    1700000000.5
    """
    value = uuid.UUID(prediction_id)
    if value.version != 7:
        raise ValueError(f"{prediction_id} is no UUID of version 7")
    return (value.int >> 80) / 1000
