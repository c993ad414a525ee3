"""Everything on this machine without containers: MLflow, training of what has no champion, the services.

Ctrl-C or SIGTERM stops all of it. Ports and addresses are settings of their own programs.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlflow_server import DEFAULT_URI, STATE, local_port, running_server
from processes import Process, ProcessError, require_free, start, stop, wait_until_ready
from project_table import Project, ProjectError, projects

TRACKING_URI = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
LOGS = Path(".state/logs")
BIN = Path(sys.executable).parent

console = Console()


def main() -> int:
    """Read the command line, run everything; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto", help="auto, sample, full or a path (default: %(default)s)")
    data = parser.parse_args().data
    try:
        run(data)
    except (ProcessError, ProjectError) as error:
        console.print(f"Not started: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    console.print("Stopped.")
    return 0


def run(data: str) -> None:
    """Start everything, wait for a signal, stop everything; raise `ProcessError` if a part of it ends before."""
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: end.set())
    mlflow_port = local_port(TRACKING_URI)
    ports = {project: port_of(project) for project in projects()}
    for project, port in ports.items():
        require_free(port, f"set {project.prefix}PORT")
    services: list[Process] = []
    with running_server(state=STATE, port=mlflow_port) as server:
        console.print(f"MLflow runs at {server.uri}")
        try:
            for project in ports:
                if not end.is_set():
                    train(project, data, end)
            if not end.is_set():
                serve(ports, services, end)
            if not end.is_set():
                console.print(addresses(server.uri, ports))
                console.print(f"The services' logs: {LOGS}")
            while not end.wait(0.5):
                for process in (server.process, *services):
                    process.require_running()
        finally:
            stop(*services, seconds=15)


def port_of(project: Project) -> int:
    """Return the port that the project's own variable names, or its default."""
    variable = f"{project.prefix}PORT"
    text = os.environ.get(variable) or str(project.port)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ProcessError(f"{variable}={text!r}: expected a port, 1 to 65535")
    return int(text)


def start_command(what: str, project: Project, *arguments: str, log: Path | None = None) -> Process:
    """Start a project's command on our MLflow; Ctrl-C does not reach it: this program stops it, in order."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": TRACKING_URI, f"{project.prefix}TRACKING_URI": TRACKING_URI}
    return start(what, [BIN / project.name, *arguments], log=log, environment=environment)


def train(project: Project, data: str, end: threading.Event) -> None:
    """Train the project where it has no champion; raise `ProcessError` if that fails."""
    flags = ("--if-missing", "--data", data, *project.first_train_flags)
    process = start_command(f"training {project.name}", project, "train", *flags)
    while process.popen.poll() is None and not end.wait(0.1):
        pass
    stop(process)
    if process.popen.returncode and not end.is_set():
        process.require_running()


def serve(ports: dict[Project, int], services: list[Process], end: threading.Event) -> None:
    """Start every service, then wait until each is ready; `services` gets those that were started."""
    for project in ports:
        name = f"the {project.name} service"
        services.append(start_command(name, project, "serve", log=LOGS / f"{project.name}.log"))
    for service, port in zip(services, ports.values(), strict=True):
        wait_until_ready(service, port, cancelled=end)


def addresses(tracking_uri: str, ports: dict[Project, int]) -> Table:
    """Return the table of what runs where."""
    table = Table(title="Open in a browser (Ctrl-C stops everything)", show_header=False)
    for project, port in ports.items():
        table.add_row(project.title, f"http://127.0.0.1:{port}", f"API: http://127.0.0.1:{port}/docs")
    table.add_row("MLflow", tracking_uri, "runs, figures, registered models")
    return table


if __name__ == "__main__":
    sys.exit(main())
