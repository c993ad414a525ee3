"""Run an MLflow tracking server on this machine: SQLite for the records, a folder for the artifacts.

``python -m portfolio_shared.tracking.server`` runs one in the foreground; `running_server` is for tests and demos.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

# MLflow starts a job runner and six queue consumers for its GenAI features by default: seven more processes, which
# nothing here uses. Telemetry sends usage data to the makers of MLflow.
_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",  # deprecations inside MLflow are nothing a reader of this log can act on
}
_STOP_SECONDS = 10.0


class ServerError(RuntimeError):
    """The MLflow server could not be started; the message says why and what to do."""


@dataclass(frozen=True)
class MlflowServer:
    """A running server: its address, its log, and the process that watches over it."""

    uri: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Stop the server and everything it started; does nothing if it has stopped already."""
        if self.process.stdin is not None:
            self.process.stdin.close()  # the watching process takes this as its signal
        try:
            self.process.wait(timeout=2 * _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(timeout=2 * _STOP_SECONDS)


def start_server(
    *, state: Path, port: int, host: str = "127.0.0.1", allowed_hosts: Sequence[str] = (), timeout: float = 120.0
) -> MlflowServer:
    """Start a server in the background and wait until it answers.

    The server ends with this process, however that ends: a small process between them holds a pipe to this one and
    stops the server's whole process group when the pipe closes.

    Parameters
    ----------
    state : Path
        Folder of the database, the artifacts and the log (`server.log`); made if missing.
    port : int
        A free port; see `free_port`.
    host : str
        Address to listen on.
    allowed_hosts : Sequence[str]
        Further names by which clients may address the server, such as the name of a compose service; localhost and
        127.0.0.1 are always allowed.
    timeout : float
        Seconds to wait for the first answer.

    Raises
    ------
    ServerError
        If the port is taken, or the server ends or stays silent; the message carries the end of its log.
    """
    _check_port(host, port)
    state.mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    command = [sys.executable, "-m", __name__, "--state", str(state), "--host", host, "--port", str(port)]
    command += [f"--allowed-host={name}" for name in allowed_hosts] + ["--until-stdin-closes"]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in a terminal must reach the caller first, which then stops the server.
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    reachable_host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
    server = MlflowServer(uri=f"http://{reachable_host}:{port}", log=log, process=process)
    try:
        _wait_until_healthy(server, timeout)
    except BaseException:
        server.stop()
        raise
    return server


@contextmanager
def running_server(
    *, state: Path, port: int, host: str = "127.0.0.1", allowed_hosts: Sequence[str] = (), timeout: float = 120.0
) -> Iterator[MlflowServer]:
    """Run a server for the length of a ``with`` block; see `start_server`."""
    server = start_server(state=state, port=port, host=host, allowed_hosts=allowed_hosts, timeout=timeout)
    try:
        yield server
    finally:
        server.stop()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of `host` that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do, so that connections that are still closing do not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"cannot listen on {host}:{port} ({error.strerror}): stop what runs there, or choose another port"
            ) from error


def _wait_until_healthy(server: MlflowServer, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    # A proxy of the environment has no business between two processes of one machine.
    with httpx.Client(base_url=server.uri, timeout=2.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                raise ServerError(f"the MLflow server ended before it answered. Its log:\n{_tail(server.log)}")
            try:
                if client.get("/health").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            time.sleep(0.05)
    raise ServerError(f"no answer from {server.uri}/health within {timeout:g} s. The log:\n{_tail(server.log)}")


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _server_command(state: Path, host: str, port: int, allowed_hosts: Sequence[str]) -> list[str]:
    names = dict.fromkeys(["localhost", "127.0.0.1", *allowed_hosts])
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{(state / 'mlflow.db').resolve()}"),
        *("--artifacts-destination", str((state / "artifacts").resolve()), "--serve-artifacts"),
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", ",".join(name + suffix for name in names for suffix in ("", ":*"))),
        *("--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3"),
    ]


def _supervise(command: list[str], *, until_stdin_closes: bool) -> int:
    """Run `command` in a process group of its own until it ends or we are told to stop; leave nothing behind."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if until_stdin_closes:
        threading.Thread(target=_set_at_end_of_input, args=(stop,), daemon=True).start()
    child = subprocess.Popen(  # noqa: S603
        command, env=os.environ | _ENVIRONMENT, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while child.poll() is None and not stop.wait(0.2):
            pass
    finally:
        _stop_group(child)
    return 0 if stop.is_set() else child.returncode or 0


def _set_at_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin: Python waits for the lock of its buffer when it exits.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def _stop_group(child: subprocess.Popen[bytes]) -> None:
    # Also after the first process has ended: a group lives as long as any of its members does.
    alive = _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while alive and time.monotonic() < deadline:
        child.poll()  # reaps it: a zombie would count as a member
        time.sleep(0.05)
        alive = _signal_group(child, 0)
    if alive:
        _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> bool:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m portfolio_shared.tracking.server", description=main.__doc__)
    parser.add_argument("--state", type=Path, default=Path(".state/mlflow"), help="folder of database and artifacts")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5500, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--allowed-host", action="append", default=[], help="a further name clients use, such as a compose service"
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input ends")
    options = parser.parse_args(arguments)
    try:
        _check_port(options.host, options.port)
    except ServerError as error:
        parser.exit(1, f"{error}\n")
    options.state.mkdir(parents=True, exist_ok=True)
    command = _server_command(options.state, options.host, options.port, options.allowed_host)
    return _supervise(command, until_stdin_closes=options.until_stdin_closes)


if __name__ == "__main__":
    sys.exit(main())
