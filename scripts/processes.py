"""Start processes, wait until they answer, and stop them together with everything that they have started.

``python processes.py COMMAND...`` runs a command that ends when standard input closes: see `start`.
"""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
GUARD_STOP_SECONDS = 10.0  # less than what `stop` gives the guard itself


class ProcessError(RuntimeError):
    """A process could not be started, has ended or is not ready; the message says why and what to do."""


@dataclass(frozen=True)
class Process:
    """A process that was started here: what messages call it, and the file of what it writes, if any.

    As a context manager it stops at the end of the block.
    """

    name: str
    popen: subprocess.Popen[bytes]
    log: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        stop(self)

    def require_running(self) -> None:
        """Raise `ProcessError` with the end of the log if it has ended."""
        if self.popen.poll() is not None:
            raise ProcessError(f"{self.name} ended with exit status {self.popen.returncode}. {self.log_end()}")

    def log_end(self) -> str:
        """Return the last 20 lines of the log, under its name."""
        if self.log is None:
            return "Its messages are above"
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join([f"The end of {self.log}:", *text.splitlines()[-20:]])


def output_of(*command: str, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it writes; `ProcessError` with its own message if it fails."""
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if result.returncode:
        raise ProcessError(f"{' '.join(command)} ended with exit status {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def free_port() -> int:
    """Return a port of this machine that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, advice: str) -> None:
    """Raise `ProcessError` with the advice where the port is taken: early, before work is done that would be lost."""
    with socket.socket() as probe:
        # As servers do, so that connections that are still closing do not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ProcessError(f"port {port} is taken ({error.strerror}): stop what runs there or {advice}") from error


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    guarded: bool = False,
) -> Process:
    """Start a process as the head of a group of its own, which Ctrl-C in this terminal does not reach.

    Parameters
    ----------
    name : str
        What messages call it, such as "the housing service".
    log : Path, optional
        File for standard output and standard error; its folder is made. Without one they go where ours go.
    environment : Mapping[str, str], optional
        All of its environment, if not ours.
    guarded : bool
        Whether it ends with this process even if this one is killed: another process stands between them, holds a
        pipe to this one, and stops the command's group when the pipe closes.

    Raises
    ------
    ProcessError
        If there is no such program, or the log cannot be written.
    """
    try:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
        writing = nullcontext() if log is None else log.open("wb")
    except OSError as error:
        raise ProcessError(f"{name} cannot be started, because its log cannot be written: {error}") from error
    with writing as output:
        try:
            popen = subprocess.Popen(
                [sys.executable, __file__, *command] if guarded else command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE if guarded else subprocess.DEVNULL,
                stdout=output,
                stderr=output and subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessError(f"{name} cannot be started: {error}") from error
    return Process(name, popen, log)


def wait_until_ready(
    process: Process,
    port: int,
    path: str = "/readyz",
    *,
    seconds: float = 60.0,
    interval: float = 0.1,
    cancelled: threading.Event | None = None,
) -> None:
    """Return when a GET of the path, sent again after each interval, is answered with 200, or the wait is cancelled.

    Raises
    ------
    ProcessError
        If the process ends, or is not ready in time; the message has the last answer and the end of the log.
    """
    deadline = time.monotonic() + seconds
    while cancelled is None or not cancelled.is_set():
        process.require_running()
        status, text = get(port, path)
        if status == http.client.OK:
            return
        if time.monotonic() > deadline:
            raise ProcessError(f"{process.name} is not ready after {seconds:g} s: {text}. {process.log_end()}")
        time.sleep(interval)


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and text of an answer, status 0 if there was none; no proxy comes between us."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer ({error})"
    finally:
        connection.close()


def stop(*processes: Process, seconds: float = 30.0) -> None:
    """Ask the groups of all processes to end, and kill what is left of them after some seconds."""
    alive = [process for process in processes if _signal_group(process, signal.SIGTERM)]
    deadline = time.monotonic() + seconds
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        # A group lives as long as any of its members does, the first process or another.
        alive = [process for process in alive if _signal_group(process, 0)]
    for process in alive:
        _signal_group(process, signal.SIGKILL)
    for process in processes:
        process.popen.wait()
        if process.popen.stdin is not None:
            process.popen.stdin.close()


def _signal_group(process: Process, number: int) -> bool:
    process.popen.poll()  # reaps it: a zombie would count as a member
    try:
        os.killpg(process.popen.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def guard(command: Sequence[str]) -> int:
    """Run a command until it ends, a signal comes or standard input closes; stop all that it has started."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: end.set())
    process = start(command[0], command)
    while process.popen.poll() is None and not end.is_set():
        # Input that can be read and is empty has been closed.
        if select.select([sys.stdin], [], [], 0.2)[0] and not os.read(sys.stdin.fileno(), 4096):
            end.set()
    stop(process, seconds=GUARD_STOP_SECONDS)
    return 0 if end.is_set() else process.popen.returncode


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
