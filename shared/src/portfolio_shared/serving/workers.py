"""Several processes behind one port: a parent that starts them, starts those that die again, and ends them all.

Each worker is the whole service, with a listening socket of its own on the same port (SO_REUSEPORT): the kernel deals
connections out evenly, and a worker that dies takes no connection of another one with it. Models are loaded by each of
them, since the registry may name another one at any time. So is the code of a project: threads that a library starts
when it is loaded, as ONNX Runtime does, do not survive a fork. What all services have in common is loaded once.
"""

import gc
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass

from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.serving.worker_metrics import SharedMetrics

_log = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0  # seconds until a worker is started again that died again and again
STEADY_SECONDS = 10.0  # a worker that lived so long is started again at once
_WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Worker:
    """One of the processes, in itself.

    Attributes
    ----------
    number
        From 0 on; who is started in place of a worker that died has the same.
    parent
        Its process; where it is another one, that has gone.
    """

    number: int
    parent: int
    address: tuple[str, int]
    shared: SharedMetrics

    def socket(self) -> socket.socket:
        """Return a socket on the port that all of them have; it listens once the server does."""
        return bound(self.address)


def bound(address: tuple[str, int], *, together: bool = True) -> socket.socket:
    """Return a socket with an address, which it shares with others where those do so `together`."""
    opened = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if together:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


def fork_workers(settings: ServiceSettings, *, drain_seconds: float) -> Worker:
    """Fork the workers of the settings and return in each of them; the parent never returns.

    Raises
    ------
    SystemExit
        In the parent: 0 after SIGTERM where each worker ended well, else the status of the first that did not.
    OSError
        If the port is taken or forbidden.
    """
    if not sys.platform.startswith("linux"):
        sys.exit("several workers need Linux, which deals connections out to them: leave WORKERS at 1")
    address = (settings.host, settings.port)
    bound(address, together=False).close()  # another service with workers would share its port
    reserved = bound(address)  # keeps the port, and does not listen
    parent = _Parent(settings.workers, (settings.host, reserved.getsockname()[1]), drain_seconds)
    worker = parent.run()
    reserved.close()
    return worker


class _Parent:
    """What the parent knows of its workers."""

    def __init__(self, workers: int, address: tuple[str, int], drain_seconds: float) -> None:
        self._address, self._drain_seconds = address, drain_seconds
        self._shared = SharedMetrics(workers)
        self._pid = os.getpid()
        self._numbers: dict[int, tuple[int, float]] = {}  # pid -> its number, and when it was started
        self._due = dict.fromkeys(range(workers), 0.0)  # number -> when it is started
        self._pauses = dict.fromkeys(range(workers), 0.0)
        self._served: set[int] = set()  # numbers whose worker has been ready once
        self._ending: float | None = None  # when those that are left are killed
        self._status = 0

    def run(self) -> Worker:
        """Look after the workers until all have ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        gc.freeze()  # what the collector looks at is written to, and no page would stay shared
        while self._numbers or (self._due and self._ending is None):
            for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
                if self._ending is None and (worker := self._fork(number)) is not None:
                    return worker
            told = signal.sigtimedwait(_WATCHED, self._wait_seconds())
            if told is not None and told.si_signo != signal.SIGCHLD:
                self._end()
            self._reap()
            if self._ending is not None and time.monotonic() > self._ending:
                self._signal(signal.SIGKILL)
        sys.exit(self._status)

    def _fork(self, number: int) -> Worker | None:
        del self._due[number]
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            return Worker(number, self._pid, self._address, self._shared)
        self._numbers[pid] = number, time.monotonic()
        return None

    def _reap(self) -> None:
        """Take note of the workers that have ended."""
        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self._numbers:
                self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        number, started = self._numbers.pop(pid)
        if self._shared.bury(number):
            self._served.add(number)
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        if self._ending is not None:
            self._status = self._status or (code and 1)
        elif number not in self._served:
            _log.critical("worker %d (process %d) did not start: it ended %s, and so all do", number, pid, how)
            self._status = code if code > 0 else 1
            self._end()
        else:
            lived = time.monotonic() - started
            pause = 0.0 if lived > STEADY_SECONDS else min(LONGEST_PAUSE, max(0.5, 2 * self._pauses[number]))
            self._pauses[number] = pause
            self._due[number] = time.monotonic() + pause
            _log.error("worker %d (process %d) ended %s: another one starts in %.1f s", number, pid, how, pause)

    def _wait_seconds(self) -> float:
        times = [*self._due.values()] if self._ending is None else [self._ending]
        return max(0.0, min(times, default=time.monotonic() + LONGEST_PAUSE) - time.monotonic())

    def _end(self) -> None:
        """Ask all to end, once."""
        if self._ending is None:
            self._ending = time.monotonic() + self._drain_seconds
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for pid in self._numbers:
            os.kill(pid, number)
