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

PROJECTS = {"housing": ("House prices", 8001), "recommender": ("Films", 8002), "image-classifier": ("Pictures", 8003)}
"""What a service is called, and the port that is its default, by project."""
# Fine-tuning takes twenty minutes: `make train-image-classifier` does it, a first look does with the probe.
TRAIN_FLAGS = {"image-classifier": ("--recipe", "quick")}
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
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    mlflow_port = local_port(TRACKING_URI)
    ports = {project: port_of(project) for project in PROJECTS}
    for project, port in ports.items():
        refuse_taken_port(project, port)
    services: dict[str, subprocess.Popen[bytes]] = {}
    try:
        with running_server(state=STATE, port=mlflow_port) as server:
            console.print(f"MLflow runs at {server.uri}")
            for project in PROJECTS:
                train(project, data, stop)
            for project in PROJECTS:
                services[project] = start(project, "serve", log=LOGS / f"{project}.log")
            for project in PROJECTS:
                wait_until_ready(project, services[project], ports[project], stop)
            if not stop.is_set():
                console.print(addresses(server.uri, ports))
                console.print(f"The services' logs: {LOGS}")
            wait(services, server.process, stop)
            stop_all(services)
    finally:
        stop_all(services)
    console.print("Stopped.")
    return 0


def port_of(project: str) -> int:
    """Return the port that the project's own variable names, or its default."""
    variable = f"{project.upper().replace('-', '_')}_PORT"
    text = os.environ.get(variable) or str(PROJECTS[project][1])
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UpError(f"{variable}={text!r}: expected a port, 1 to 65535")
    return int(text)


def local_port(uri: str) -> int:
    """Return the port of the MLflow server that is to be started; it can be started on this machine only."""
    address = urlsplit(uri)
    if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise UpError(f"MLFLOW_TRACKING_URI={uri}: `make up` starts MLflow itself, on http://127.0.0.1:PORT")
    return address.port


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
    process = start(project, "train", "--if-missing", "--data", data, *TRAIN_FLAGS.get(project, ()))
    while process.poll() is None:
        if stop.wait(0.1):
            stop_all({project: process})
            return
    if process.returncode:
        raise UpError(f"training {project} failed with exit status {process.returncode}; its message is above")


def wait_until_ready(project: str, process: subprocess.Popen[bytes], port: int, stop: threading.Event) -> None:
    """Wait for /readyz; raise UpError if the service dies or stays unready."""
    deadline = time.monotonic() + READY_SECONDS
    while not stop.wait(0.1):
        if process.poll() is not None:
            raise ended(project, process)
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2.0, trust_env=False)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.is_success:
            return
        if time.monotonic() > deadline:
            why = answer.text if answer is not None else "no answer"
            raise UpError(f"the {project} service is not ready after {READY_SECONDS:g} s: {why}")


def addresses(tracking_uri: str, ports: dict[str, int]) -> Table:
    """Return the table of what runs where."""
    table = Table(title="Open in a browser (Ctrl-C stops everything)", show_header=False)
    for project, (name, _) in PROJECTS.items():
        table.add_row(name, f"http://127.0.0.1:{ports[project]}", f"API: http://127.0.0.1:{ports[project]}/docs")
    table.add_row("MLflow", tracking_uri, "runs, figures, registered models")
    return table


def wait(services: dict[str, subprocess.Popen[bytes]], mlflow: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """Wait for a signal; raise UpError if a service or MLflow dies."""
    while not stop.wait(0.5):
        if mlflow.poll() is not None:
            raise UpError(f"MLflow ended; its log is {STATE / 'server.log'}")
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
