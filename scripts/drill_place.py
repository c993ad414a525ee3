"""Where a drill takes place: processes of its own in a temporary folder, or containers that run already."""

import json
import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from compose_stack import ROOT, CheckError, require
from mlflow_server import DEFAULT_URI, running_server
from portfolio_shared.proxies import no_proxy
from portfolio_shared.serving.registry_client import RegistryClient
from processes import HOST, Process, free_port, start, wait_until_ready
from project_table import Project

BIN = Path(sys.executable).parent
SECONDS = 300.0  # that a command may take
POLL_SECONDS = "0.3"  # between two looks of the service at the registry
KEPT = ("PORTFOLIO_DATA_DIR",)
TRANSCRIPT = "transcript.txt"
COLUMNS = "120"  # of what commands write
NAMED = 200  # characters of a command, in a message
# Of the containers that have the prediction log, the monitor's reads it; one of its own trains.
CONTAINERS = {"retrain": "retrain"}


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that it wrote."""

    status: int
    text: str


@dataclass(frozen=True)
class Place:
    """A service, the registry that it asks, and how commands are run beside them.

    Attributes
    ----------
    folder, directory
        For what the drill keeps while it runs, and where commands run.
    command
        (program, arguments) -> a command line; the program is `project`, `python` or `cat`.
    service
        The process, where it is one of this drill's: a stack of containers has trained its champion already.
    """

    project: Project
    url: str
    mlflow: str
    folder: Path
    directory: Path
    command: Callable[[str, Sequence[str]], list[str]]
    environment: Mapping[str, str]
    service: Process | None

    def run(self, program: str, *arguments: str, accept: Sequence[int] = (0,)) -> Said:
        """Run a command to its end; `CheckError` with the end of what it wrote unless its exit status is expected."""
        name = " ".join([self.project.name if program == "project" else program, *arguments])[:NAMED]
        log = self.folder / "commands" / f"{time.time():.3f}.log"
        command, environment = self.command(program, arguments), self.environment
        with start(name, command, log=log, folder=self.directory, environment=environment, guarded=True) as process:
            try:
                process.popen.wait(SECONDS)
            except subprocess.TimeoutExpired as error:
                raise CheckError(f"{name} has not ended after {SECONDS:g} s. {process.log_end()}") from error
        said = Said(process.popen.returncode, log.read_text(encoding="utf-8", errors="replace"))
        expected = " or ".join(map(str, accept))
        found = f"{name}: expected exit status {expected}, not {said.status}. {process.log_end()}"
        require(said.status in accept, found)
        if program == "project":
            shown = shlex.join([self.project.name, *arguments])
            with (self.folder / TRANSCRIPT).open("a", encoding="utf-8") as file:
                file.write(f"$ {shown}\n{said.text}# exit status {said.status}\n\n")
        return said

    def transcript(self) -> str:
        """Return what all commands said."""
        return (self.folder / TRANSCRIPT).read_text(encoding="utf-8")

    def read_json(self, path: Path) -> dict[str, Any]:
        """Return the object in a file of the commands'; containers may say something around it."""
        return json_in(self.run("cat", str(path)).text)

    def lessons(self, version: str) -> dict[str, int]:
        """Return what became of every truth that was there when a version was trained, as its tag says."""
        query, path = {"name": self.project.name, "version": version}, "/api/2.0/mlflow/model-versions/get"
        response = httpx.get(f"{self.mlflow}{path}", params=query, trust_env=False).raise_for_status()
        tags = {tag["key"]: tag["value"] for tag in response.json()["model_version"]["tags"]}
        counts: dict[str, int] = json.loads(tags["lessons"])
        return counts

    def forget(self, people: Iterable[str]) -> int:
        """Delete what people asked and said, where the log is; return how many predictions went."""
        text = Path(__file__).with_name("drill_forget.py").read_text(encoding="utf-8")
        return int(self.run("python", "-c", text, self.project.package, *sorted(people)).text.split()[-1])


def version_of(place: Place, alias: str) -> str:
    """Return the version that an alias of the registry points to, or nothing."""
    with RegistryClient(place.mlflow) as registry:
        found = registry.alias(place.project.name, alias)
    return found.version if found else ""


def json_in(text: str) -> dict[str, Any]:
    """Return the object in what a command wrote."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    return found


@contextmanager
def here(project: Project, rollout: Callable[[], str]) -> Iterator[Place]:
    """Run MLflow and a service in a temporary folder, on free ports, for the length of a ``with`` block.

    Parameters
    ----------
    rollout
        Says how a challenger is tried; called when MLflow runs, because that takes as long as reading the scenario.
    """
    with TemporaryDirectory(prefix=f"drill-{project.name}-") as name:
        folder = Path(name)
        with running_server(state=folder / "mlflow", port=free_port()) as server:
            port = free_port()
            environment = settings(project, rollout(), folder, mlflow=server.uri, port=port)
            command = [str(BIN / project.name), "serve"]
            log = folder / "service.log"
            with start(
                "the service", command, log=log, folder=folder, environment=environment, guarded=True
            ) as service:
                wait_until_ready(service, port, "/healthz")
                url = f"http://{HOST}:{port}"
                yield Place(project, url, server.uri, folder, folder, local_command(project), environment, service)


def settings(project: Project, rollout: str, folder: Path, *, mlflow: str, port: int) -> dict[str, str]:
    """Return an environment that has of ours no setting of a project, and a log, a registry and a port of its own."""
    ours = ("PORTFOLIO_", "MLFLOW_", project.prefix)
    clean = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(ours)}
    own = {
        "ROLLOUT": rollout,
        "PORT": str(port),
        "TRACKING_URI": mlflow,
        "MODEL_POLL_SECONDS": POLL_SECONDS,
        "LOG_LEVEL": "warning",
        "SUBJECT_KEY": secrets.token_hex(16),
    }
    log = {"PORTFOLIO_PREDICTION_LOG": f"sqlite:///{folder / 'predictions.db'}"}
    return {
        **clean,
        **no_proxy(mlflow),
        **log,
        "MLFLOW_TRACKING_URI": mlflow,
        "COLUMNS": COLUMNS,
        **{f"{project.prefix}{key}": value for key, value in own.items()},
    }


def local_command(project: Project) -> Callable[[str, Sequence[str]], list[str]]:
    """Return what makes command lines of this machine's programs."""
    programs = {"project": str(BIN / project.name), "python": sys.executable, "cat": "cat"}
    return lambda program, arguments: [programs[program], *arguments]


def container_command(project: Project) -> Callable[[str, Sequence[str]], list[str]]:
    """Return what makes command lines of containers that end with their command."""

    def command(program: str, arguments: Sequence[str]) -> list[str]:
        entry = [] if program == "project" else ["--entrypoint", program]
        service = f"{project.name}-{CONTAINERS.get(arguments[0], 'monitor')}"
        return ["docker", "compose", "run", "--rm", "--no-deps", "--no-TTY", *entry, service, *arguments]

    return command


@contextmanager
def against(project: Project, url: str) -> Iterator[Place]:
    """Use a stack of containers that is up, for the length of a ``with`` block."""
    mlflow = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    with TemporaryDirectory(prefix=f"drill-{project.name}-") as folder:
        command = container_command(project)
        yield Place(project, url.rstrip("/"), mlflow, Path(folder), ROOT, command, {**os.environ}, None)


def wait(what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition; `CheckError` if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < deadline, f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
