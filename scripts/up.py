"""Everything on this machine without containers: MLflow, a start page, services, training of what has no champion.

Ctrl-C or SIGTERM stops all of it. Ports and addresses are settings of their own programs.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlflow_server import DEFAULT_URI, STATE, local_port, running_server
from portfolio_shared.addresses import without_secrets
from portfolio_shared.environment import is_invented
from portfolio_shared.proxies import no_proxy
from portfolio_shared.terminal import standard_streams
from processes import HOST, Process, ProcessError, require_free, start, stop, wait_until_ready
from project_table import Project, ProjectError, projects

TRACKING_URI = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
LOGS = Path(".state/logs")
BIN = Path(sys.executable).parent
START_PAGE_PORT = ("INDEX_PORT", 8000)
POLL_SECONDS = "2"  # a service sees a model that was trained, or rolled back, while somebody waits for it

console = Console()


def main() -> int:
    """Read the command line, run everything; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto", help="auto, sample, full or a path (default: %(default)s)")
    data = parser.parse_args().data
    try:
        run(data)
    except (ProcessError, ProjectError) as error:
        console.print(f"Not started: {without_secrets(str(error))}", style="red", markup=False, soft_wrap=True)
        return 1
    console.print("Stopped.")
    return 0


def run(data: str) -> None:
    """Start everything, wait for a signal, stop everything; raise `ProcessError` if a part of it ends before.

    The services start before there is a model, so that each can be used as soon as its own is trained.
    """
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: end.set())
    mlflow_port = local_port(TRACKING_URI)
    os.environ.update(no_proxy(TRACKING_URI))  # all that is started here asks the rest of it directly
    start_page = address(*START_PAGE_PORT)
    places = {project: address(f"{project.prefix}PORT", project.port) for project in projects()}
    with (
        running_server(state=STATE, port=mlflow_port) as server,
        start_start_page(start_page, places, server.uri) as page,
    ):
        console.print(f"MLflow runs at {server.uri}")
        wait_until_ready(page, port_in(start_page), "/healthz", cancelled=end)
        console.print(f"The start page says how far it is: {start_page}")
        running = [server.process, page]
        try:
            # One by one: where one cannot be started, those before it are stopped.
            running.extend(serve(project, start_page) for project in places)
            for project in places:
                if not end.is_set():
                    train(project, data, end, running)
            for service, place in zip(running[2:], places.values(), strict=True):
                wait_until_ready(service, port_in(place), cancelled=end)
            if not end.is_set():
                show(start_page, places, server.uri)
            while not end.wait(0.5):
                require_running(running)
        finally:
            stop(*running[2:], seconds=15)


def address(variable: str, default: int) -> str:
    """Return the address on this machine with the port that a variable names, or the default; the port must be free."""
    text = os.environ.get(variable) or str(default)
    if is_invented("PORT", text):  # by Kubernetes, for a service of this name
        text = str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ProcessError(f"{variable}={text!r}: expected a port, 1 to 65535")
    require_free(int(text), f"set {variable}")
    return f"http://{HOST}:{text}"


def port_in(place: str) -> int:
    """Return the port of an address."""
    return int(place.rpartition(":")[2])


def start_start_page(start_page: str, places: dict[Project, str], mlflow: str) -> Process:
    """Start the page that leads to all demos and knows the state of their models."""
    demos = [
        {"project": project.name, "title": project.title, "lead": project.lead, "address": place, "internal": place}
        for project, place in places.items()
    ]
    settings = {
        "INDEX_PORT": str(port_in(start_page)),
        "INDEX_ADDRESS": start_page,
        "INDEX_MLFLOW_ADDRESS": mlflow,
        "INDEX_DEMOS": json.dumps(demos),
    }
    command = [sys.executable, "-m", "portfolio_shared.serving.start_page"]
    return start("the start page", command, log=LOGS / "start-page.log", environment=os.environ | settings)


def serve(project: Project, start_page: str) -> Process:
    """Start the service of a project."""
    more = {"PORTFOLIO_START_PAGE": start_page}
    variable = f"{project.prefix}MODEL_POLL_SECONDS"
    more[variable] = os.environ.get(variable) or POLL_SECONDS
    return start_command(f"the {project.name} service", project, "serve", log=LOGS / f"{project.name}.log", more=more)


def start_command(
    what: str, project: Project, *arguments: str, log: Path | None = None, more: Mapping[str, str] | None = None
) -> Process:
    """Start a project's command on our MLflow; Ctrl-C does not reach it: this program stops it, in order."""
    uris = {"MLFLOW_TRACKING_URI": TRACKING_URI, f"{project.prefix}TRACKING_URI": TRACKING_URI}
    environment = {**os.environ, **uris, **(more or {})}
    return start(what, [BIN / project.name, *arguments], log=log, environment=environment)


def train(project: Project, data: str, end: threading.Event, running: Sequence[Process]) -> None:
    """Train the project where it has no champion; raise `ProcessError` if that fails, or if something else ends."""
    flags = ("--if-missing", "--data", data, *project.first_train_flags)
    process = start_command(f"training {project.name}", project, "train", *flags)
    try:
        while process.popen.poll() is None and not end.wait(0.1):
            require_running(running)
    finally:
        stop(process)
    if process.popen.returncode and not end.is_set():
        process.require_running()


def require_running(processes: Sequence[Process]) -> None:
    """Raise `ProcessError` if one of them has ended."""
    for process in processes:
        process.require_running()


def show(start_page: str, places: dict[Project, str], mlflow: str) -> None:
    """Print what runs where, and how to go on."""
    table = Table(title="Open in a browser", show_header=False)
    table.add_row("All demos", start_page, "start here")
    for project, place in places.items():
        table.add_row(project.title, place, f"API: {place}/docs")
    table.add_row("MLflow", mlflow, "runs, figures, registered models")
    console.print(table)
    console.print(f"The services' logs: {LOGS}")
    example = next(iter(places)).name
    ways = {
        f"make train-{example}": "trains anew; the gate decides which model serves",
        f"make rollback-{example}": "goes back to the champion before it, once there was one",
        "Ctrl-C in this one": "stops everything; what was trained stays",
    }
    console.print("Go on in a second terminal, in this folder:")
    for way, what in ways.items():
        console.print(f"  {way:24}{what}", highlight=False)


if __name__ == "__main__":
    with standard_streams():
        sys.exit(main())
