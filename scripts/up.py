"""Everything on this machine without containers: MLflow, training of what has no champion, the services.

Ctrl-C or SIGTERM stops all of it. Ports and addresses are settings of their own programs.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.table import Table

from portfolio_shared.tracking.server import ServerError, running_server

PROJECTS = {"housing": "House prices", "recommender": "Films"}
PORTS = {
    "housing": int(os.environ.get("HOUSING_PORT", "8001")),
    "recommender": int(os.environ.get("RECOMMENDER_PORT", "8002")),
}
TRACKING_URI = os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5500")
STATE = Path(".state/mlflow")
LOGS = Path(".state/logs")
BIN = Path(sys.executable).parent
READY_SECONDS = 60.0

console = Console()


class UpError(RuntimeError):
    """Something could not be started; the message says what to do."""


def main() -> int:
    """Start, wait for a signal, stop; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto", help="auto, sample, full or a path (default: %(default)s)")
    data = parser.parse_args().data
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    for project, port in PORTS.items():
        refuse_taken_port(project, port)
    services: dict[str, subprocess.Popen[bytes]] = {}
    try:
        with running_server(state=STATE, port=urlsplit(TRACKING_URI).port or 5500) as server:
            console.print(f"MLflow runs at {server.uri}")
            for project in PROJECTS:
                train(project, data, stop)
            for project in PROJECTS:
                services[project] = start(project, "serve", log=LOGS / f"{project}.log")
            for project in PROJECTS:
                wait_until_ready(project, services[project], stop)
            if not stop.is_set():
                console.print(addresses(server.uri))
                console.print(f"The services' logs: {LOGS}")
            wait(services, stop)
            stop_all(services)
    finally:
        stop_all(services)
    console.print("Stopped.")
    return 0


def refuse_taken_port(project: str, port: int) -> None:
    """Fail early, before training, where a service could not listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            variable = f"{project.upper().replace('-', '_')}_PORT"
            raise UpError(f"port {port} is taken ({error.strerror}): stop what runs there or set {variable}") from error


def start(project: str, *arguments: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a project's command; Ctrl-C in this terminal does not reach it: this program stops it, in order."""
    prefix = project.upper().replace("-", "_")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": TRACKING_URI, f"{prefix}_TRACKING_URI": TRACKING_URI}
    command = [str(BIN / project), *arguments]
    if log is None:
        return subprocess.Popen(command, start_new_session=True, env=environment)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command, start_new_session=True, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def ended(project: str, process: subprocess.Popen[bytes]) -> UpError:
    """Return the error of a service that is not to have ended, with the end of its log."""
    log = LOGS / f"{project}.log"
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    return UpError(f"the {project} service ended with exit status {process.returncode}. The end of {log}:\n{tail}")


def train(project: str, data: str, stop: threading.Event) -> None:
    """Train the project where it has no champion; raise UpError if that fails."""
    if stop.is_set():
        return
    process = start(project, "train", "--if-missing", "--data", data)
    while process.poll() is None:
        if stop.wait(0.1):
            stop_all({project: process})
            return
    if process.returncode:
        raise UpError(f"training {project} failed with exit status {process.returncode}; its message is above")


def wait_until_ready(project: str, process: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """Wait for /readyz; raise UpError if the service dies or stays unready."""
    deadline = time.monotonic() + READY_SECONDS
    while not stop.wait(0.1):
        if process.poll() is not None:
            raise ended(project, process)
        try:
            answer = httpx.get(f"http://127.0.0.1:{PORTS[project]}/readyz", timeout=2.0)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.is_success:
            return
        if time.monotonic() > deadline:
            why = answer.text if answer is not None else "no answer"
            raise UpError(f"the {project} service is not ready after {READY_SECONDS:g} s: {why}")


def addresses(tracking_uri: str) -> Table:
    """Return the table of what runs where."""
    table = Table(title="Open in a browser (Ctrl-C stops everything)", show_header=False)
    for project, name in PROJECTS.items():
        table.add_row(name, f"http://127.0.0.1:{PORTS[project]}", f"API: http://127.0.0.1:{PORTS[project]}/docs")
    table.add_row("MLflow", tracking_uri, "runs, figures, registered models")
    return table


def wait(services: dict[str, subprocess.Popen[bytes]], stop: threading.Event) -> None:
    """Wait for a signal; raise UpError if a service dies."""
    while not stop.wait(0.5):
        for project, process in services.items():
            if process.poll() is not None:
                raise ended(project, process)


def stop_all(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Ask every process to finish its work, and end those that do not within 15 s."""
    running = [process for process in processes.values() if process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + 15
    for process in running:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UpError, ServerError) as error:
        console.print(f"Not started: {error}", style="red", markup=False)
        sys.exit(1)
