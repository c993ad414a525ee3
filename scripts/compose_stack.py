"""The containers that scripts/compose_test.py looks at: a project name, ports, volumes and images of their own."""

import importlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from portfolio_shared.serving.schemas import ExampleRequest
from portfolio_shared.tracking.git import current_commit
from processes import HOST, ProcessError, free_port, get, output_of

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "portfolio-test"
FILES = ("compose.yaml", "docker/offline.yaml")
SETTINGS = {
    "DATASET": "sample",
    "PORTFOLIO_DATA_DIR": "data",
    "IMAGES": PROJECT,
    "TAG": "test",
    "RECIPE": "quick",
    "WEIGHTS": "auto",
    "PORTFOLIO_PREDICTION_LOG": "",
    "SPARK_SOURCE": "sample",
    "SPARK_PORT": "0",  # any
    "MONITOR_EVERY": "",
    "MONITOR_WINDOW": "",
    "PIPELINE_CRON": "* * * * *",  # a tick is seen within a minute
    "PIPELINE_WINDOW": "",
    "PIPELINE_TRAIN_DAYS": f"{datetime.now(UTC) + timedelta(days=3):%a}".lower(),  # the ticks seen here train nothing
    "PIPELINE_RETRY_SECONDS": "",
}


class CheckError(AssertionError):
    """A promise was not kept; the message says which."""


def key_header() -> dict[str, str]:
    """Return the header with the key in PORTFOLIO_API_KEY, for services that ask for one; without it no header."""
    key = os.environ.get("PORTFOLIO_API_KEY")
    return {"X-API-Key": key} if key else {}


def require(held: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `CheckError` unless it holds."""
    if not held:
        raise CheckError(message)


def require_equal(what: str, actual: object, expected: object) -> None:
    """Raise `CheckError` with both values unless they are equal."""
    require(actual == expected, f"{what}: expected {expected}, not {actual}")


@dataclass
class Stack:
    """The containers of this test: services with a model, an earlier commit, their tree, ports of all servers.

    Beside an earlier commit nothing watches: it may know no monitors.
    """

    services: tuple[str, ...]
    earlier: str
    tree: Path = ROOT
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        watching = () if self.earlier else ("prometheus", *self.monitors)
        self.ports = {name: free_port() for name in ("index", "mlflow", *self.services, *watching)}

    @property
    def monitors(self) -> tuple[str, ...]:
        """Return the names of the monitors, in the order of the services."""
        return tuple(f"{service}-monitor" for service in self.services)

    def environment(self) -> dict[str, str]:
        """Return what this test's compose files read: their settings, and nothing of who runs it."""
        clean = {name: value for name, value in os.environ.items() if not name.endswith(("_PORT", "_URI"))}
        ports = {f"{name.upper().replace('-', '_')}_PORT": str(port) for name, port in self.ports.items()}
        profiles = "" if self.earlier else "operations,monitoring"
        settings = SETTINGS | {"GIT_COMMIT": current_commit(), "COMPOSE_PROFILES": profiles}
        return clean | settings | ports

    def compose(self, *arguments: str) -> str:
        """Run docker compose on this test's project; return what it writes."""
        files = [option for file in FILES for option in ("--file", file)]
        command = ["docker", "compose", "--project-name", PROJECT, "--env-file", os.devnull, *files, *arguments]
        return output_of(*command, folder=self.tree, environment=self.environment())

    def take_down(self) -> None:
        """Remove whatever there is of this test; layers stay in the builder's cache, and images that were pulled."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
        built = ("image", "ls", "--filter", f"reference={PROJECT}/*", "--format", "{{.Repository}}:{{.Tag}}")
        if names := output_of("docker", *built).split():
            output_of("docker", "image", "rm", *names)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container, running or not."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        container: dict[str, Any] = json.loads(output_of("docker", "inspect", name))[0]
        return container

    def url(self, service: str, path: str = "") -> str:
        """Return an address on this machine."""
        return f"http://{HOST}:{self.ports[service]}{path}"

    def get(self, service: str, path: str = "") -> httpx.Response:
        """Return the response to a GET; an error status is a failed check."""
        response = httpx.get(self.url(service, path), timeout=10, trust_env=False)
        require(response.is_success, f"{response.url}: {response.status_code} {response.text[:200]}")
        return response

    def model(self, service: str) -> dict[str, Any]:
        """Return what a service says of its model."""
        description: dict[str, Any] = self.get(service, "/v1/model").json()
        return description

    def learned_from(self, service: str, sha256: str) -> bool:
        """Return whether a service's model learned from the data with this hash."""
        return bool(self.model(service)["data"]["sha256"] == sha256)

    def predict(self, service: str) -> None:
        """Ask for the project's example and look at the shape of the response."""
        example = example_request(service)
        response = httpx.post(
            self.url(service, example.path),
            content=example.body,
            headers={"Content-Type": example.content_type},
            timeout=30,
            trust_env=False,
        )
        require(response.is_success, f"{service}: {response.status_code} {response.text[:300]}")
        body = response.json()
        predictions = [value for value in body.values() if isinstance(value, list) and value]
        require(bool(predictions), f"{service} answered without a prediction: {response.text[:300]}")
        require(body["model"]["name"] == service, f"{service} answered with the model {body['model']}")

    def answers(self, service: str, path: str) -> bool:
        """Return whether a GET is answered with 200, within 2 s."""
        status, _ = get(self.ports[service], path)
        return status == httpx.codes.OK

    def has_ended(self, service: str) -> bool:
        """Return whether a container has run to its end."""
        return bool(self.inspect(service)["State"]["Status"] == "exited")

    def kill(self, service: str) -> None:
        """Kill a service from inside, as a crash would be: a kill from outside counts as a wish to stop it."""
        before = self.inspect(service)["RestartCount"]
        with suppress(ProcessError):  # it kills the process that asks as well
            self.compose("exec", "--no-TTY", service, "python", "-c", "import os; os.kill(-1, 9)")
        self.wait(f"{service} back", lambda: self.inspect(service)["RestartCount"] == before + 1, 30)
        self.wait(f"{service} alive", lambda: self.answers(service, "/healthz"), 30)
        self.wait(f"{service} with a model", lambda: self.answers(service, "/readyz"), 30)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for a condition; `CheckError` if it does not hold in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            require(time.monotonic() < deadline, f"not within {seconds:g} s: {what}")
            time.sleep(0.5)

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until every server is healthy and every trainer has ended well."""

        def ready() -> bool:
            for service in self.services:
                trainer = self.inspect(f"{service}-trainer")["State"]
                ended_well = trainer["Status"] != "exited" or trainer["ExitCode"] == 0
                require(ended_well, f"training {service} failed: see its log")
            servers = [self.inspect(name)["State"] for name in self.ports]
            return all(server.get("Health", {}).get("Status") == "healthy" for server in servers)

        self.wait("every server healthy", ready, seconds)


def example_request(project: str) -> ExampleRequest:
    """Return the request that every model of a project can answer."""
    schemas = importlib.import_module(f"{project.replace('-', '_')}.serving.schemas")
    example: ExampleRequest = schemas.EXAMPLE_REQUEST
    return example


def sample_sha256(project: str) -> str:
    """Return the hash of the data that ship with a project, as its trainings record it."""
    module = importlib.import_module(f"{project.replace('-', '_')}.data.load")
    return str(module.load("sample").sha256)


def labeled(*listing: str) -> list[str]:
    """Return what carries this test's project name: containers, networks or volumes."""
    label = f"label=com.docker.compose.project={PROJECT}"
    return output_of("docker", *listing, "--quiet", "--filter", label).split()
