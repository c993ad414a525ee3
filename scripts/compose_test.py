"""Build the stack, start it on sample data with no way out, and see that it does what docker/README.md promises.

It runs beside a stack that is up already: it has its own project name, ports, volumes and images, and leaves none of
them. With `--upgrade-from COMMIT` that commit's stack writes the volumes, and this one must go on with them.
Exit status 0 if everything held, 1 if not, 3 if there is no container engine.
"""

import argparse
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from portfolio_shared.tracking.git import current_commit

NO_ENGINE = 3
ROOT = Path(__file__).resolve().parents[1]
PROJECT = "portfolio-test"
FILES = ("compose.yaml", "docker/offline.yaml")
START_SECONDS = 900.0
SETTINGS = {
    "DATASET": "sample",
    "PORTFOLIO_DATA_DIR": "data",
    "COMPOSE_PROFILES": "",
    "IMAGES": PROJECT,
    "TAG": "test",
    "RECIPE": "quick",
    "WEIGHTS": "auto",
}
OUTSIDE = ("1.1.1.1", 443)
"""An address of the internet."""
HOUSE = {
    "neighborhood": "CollgCr",
    "year_built": 2003,
    "overall_qual": 7,
    "overall_cond": 5,
    "gr_liv_area": 1710,
    "lot_area": 8450,
    "total_bsmt_sf": 856,
    "full_bath": 2,
    "bedroom_abv_gr": 3,
    "garage_cars": 2,
}


Check = Callable[["Stack"], None]


class CheckError(AssertionError):
    """A promise was not kept; the message says which."""


def grey_picture(side: int = 64) -> bytes:
    """Return a PNG file of one grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@dataclass(frozen=True)
class Request:
    """One prediction, and the field of the response that holds its answers."""

    path: str
    answers: str
    arguments: dict[str, Any]


PREDICTIONS = {
    "housing": Request("/v1/predictions", "predictions", {"json": {"houses": [HOUSE]}}),
    "recommender": Request("/v1/recommendations", "recommendations", {"json": {"history": [], "k": 5}}),
    "image-classifier": Request("/v1/classifications", "results", {"files": {"files": ("grey.png", grey_picture())}}),
}


@dataclass
class Stack:
    """The containers of this test."""

    ports: dict[str, int] = field(default_factory=dict)
    services: tuple[str, ...] = ()  # those with a model
    tree: Path = ROOT

    def compose(self, *arguments: str, quiet: bool = True) -> str:
        """Run docker compose on this test's project; return what it writes."""
        clean = {name: value for name, value in os.environ.items() if not name.endswith(("_PORT", "_URI"))}
        ports = {f"{name.upper().replace('-', '_')}_PORT": str(port) for name, port in self.ports.items()}
        settings = SETTINGS | {"GIT_COMMIT": current_commit()}
        files = [option for file in FILES for option in ("--file", file)]
        command = ["docker", "compose", "--project-name", PROJECT, "--env-file", os.devnull, *files, *arguments]
        result = subprocess.run(
            command,
            env=clean | settings | ports,
            cwd=self.tree,
            check=False,
            text=True,
            stdout=subprocess.PIPE if quiet else None,
        )
        if result.returncode:
            raise CheckError(f"docker compose {' '.join(arguments)} failed with exit status {result.returncode}")
        return result.stdout or ""

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container, running or not."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        found: dict[str, Any] = json.loads(docker("inspect", name))[0]
        return found

    def url(self, service: str, path: str = "") -> str:
        """Return an address on this machine."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def model(self, service: str) -> dict[str, Any]:
        """Return what a service says of its model."""
        answer: dict[str, Any] = get(self.url(service, "/v1/model")).json()
        return answer

    def predict(self, service: str) -> None:
        """Ask for one prediction and look at its shape."""
        request = PREDICTIONS[service]
        answer = httpx.post(self.url(service, request.path), timeout=30, trust_env=False, **request.arguments)
        require(answer.status_code == httpx.codes.OK, f"{service}: {answer.status_code} {answer.text[:300]}")
        body = answer.json()
        require(bool(body[request.answers]), f"{service} answered without {request.answers}: {answer.text[:300]}")
        require(body["model"]["name"] == service, f"{service} answered with the model {body['model']}")

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for a condition; a connection that is refused meanwhile counts as not yet."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            require(time.monotonic() < deadline, f"not within {seconds:g} s: {what}")
            time.sleep(0.5)

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until every server is healthy and every trainer has ended well."""

        def ready() -> bool:
            for service in self.services:
                trainer = self.inspect(f"{service}-trainer")["State"]
                require(
                    trainer["Status"] != "exited" or trainer["ExitCode"] == 0, f"training {service} failed: see its log"
                )
            servers = [self.inspect(name)["State"] for name in ("index", "mlflow", *self.services)]
            return all(server.get("Health", {}).get("Status") == "healthy" for server in servers)

        self.wait("every server healthy", ready, seconds)


def main() -> int:
    """Run the checks in order; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade-from", metavar="COMMIT", help="only see that its volumes can be gone on with")
    earlier = parser.parse_args().upgrade_from
    try:
        docker("version")
    except (CheckError, OSError) as error:
        print(f"Not run: there is no container engine here ({str(error).strip()})", file=sys.stderr)
        return NO_ENGINE
    stack = Stack()
    names = stack.compose("config", "--services").split()
    stack.services = tuple(name.removesuffix("-trainer") for name in sorted(names) if name.endswith("-trainer"))
    stack.ports = {name: free_port() for name in ("index", "mlflow", *stack.services)}
    status = 1
    try:
        take_down(stack)
        for check in (upgrade_from(earlier), down) if earlier else CHECKS:
            started = time.monotonic()
            check(stack)
            print(f"ok    {time.monotonic() - started:6.1f} s  {check.__doc__}", flush=True)
        status = 0
    except (CheckError, httpx.HTTPError, http.client.HTTPException, OSError, KeyError) as error:
        print(f"FAILED  {check.__doc__}\n{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        stack.compose("logs", "--tail", "15", quiet=False)
    finally:
        take_down(stack)
    return status


def build(stack: Stack) -> None:
    """Build every image."""
    for name in sorted(json.loads(stack.compose("config", "--format", "json"))["services"]):
        stack.compose("build", "--quiet", name)  # one at a time: each uses every core


def start(stack: Stack) -> None:
    """Start from nothing, without a way out of the machine: every server gets healthy, every model is trained."""
    require(not volumes(), f"volumes are left from before: {volumes()}")
    stack.compose("up", "--detach", "--quiet-pull")
    stack.wait_until_ready(START_SECONDS)


def predictions(stack: Stack) -> None:
    """Predict with each service."""
    for service in stack.services:
        stack.predict(service)


def models(stack: Stack) -> None:
    """Read from each service which model answers, and that it learned from the sample."""
    for service in stack.services:
        model = stack.model(service)
        found = {name: model[name] for name in ("project", "version", "origin")} | {"data": model["data"]["source"]}
        wanted = {"project": service, "version": "1", "origin": "registry", "data": "sample"}
        require(found == wanted, f"{service}: expected {wanted}, found {found}")


def pages(stack: Stack) -> None:
    """Follow the index page: it leads everywhere and knows each model; MLflow answers; the log names the address."""
    page = get(stack.url("index")).text
    for service in stack.services:
        require(stack.url(service) in page, f"the index page has no link to {service}")
    require(stack.url("mlflow") in page, "the index page has no link to MLflow")
    require(page.count('data-state="ready"') == len(stack.services), "the index page says that a model is missing")
    require("<html" in get(stack.url("mlflow")).text, "MLflow shows no page")
    stack.wait("the line of addresses", lambda: stack.url("index") in stack.compose("logs", "index"), 10)


def headers(stack: Stack) -> None:
    """Look at headers: pages are protected, large bodies are refused, MLflow refuses foreign names."""
    for service in ("index", *stack.services):
        answer = get(stack.url(service))
        policy = answer.headers.get("content-security-policy", "")
        require("default-src 'self'" in policy, f"{service} has the content security policy {policy!r}")
        require(answer.headers.get("x-content-type-options") == "nosniff", f"{service} lacks nosniff")
        require("server" not in answer.headers, f"{service} tells its server: {answer.headers.get('server')}")
    for service in stack.services:
        status = status_of_announced(10**9, stack.ports[service], PREDICTIONS[service].path)
        require(status == httpx.codes.REQUEST_ENTITY_TOO_LARGE, f"{service} took a body of 1 GB: {status}")
    foreign = httpx.get(stack.url("mlflow"), headers={"Host": "elsewhere.example"}, trust_env=False)
    require(foreign.status_code == httpx.codes.FORBIDDEN, f"MLflow answered a foreign name: {foreign.status_code}")


def status_of_announced(length: int, port: int, path: str) -> int:
    """Return the status of a request that announces a body and does not send it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def confinement(stack: Stack) -> None:
    """Inspect every container: no root, no capability, read-only, limited; published on 127.0.0.1 alone."""
    trainers = [f"{service}-trainer" for service in stack.services]
    for service in ("index", "mlflow", *stack.services, *trainers):
        container = stack.inspect(service)
        host = container["HostConfig"]
        found = {
            "user": container["Config"]["User"],
            "read-only": host["ReadonlyRootfs"],
            "capabilities dropped": host["CapDrop"],
            "no new privileges": any("no-new-privileges" in option for option in host["SecurityOpt"] or []),
            "memory limit": host["Memory"] > 0,
            "CPU limit": host["NanoCpus"] > 0,
            "process limit": (host["PidsLimit"] or 0) > 0,
            "init": host["Init"],
            "rotated log": "max-size" in host["LogConfig"]["Config"],
            "restarts": host["RestartPolicy"]["Name"],
        }
        wanted = dict.fromkeys(found, True) | {
            "user": "10001:10001",
            "capabilities dropped": ["ALL"],
            "restarts": "no" if service in trainers else "unless-stopped",
        }
        require(found == wanted, f"{service}: expected {wanted}, found {found}")
        addresses = {place["HostIp"] for places in host["PortBindings"].values() for place in places}
        require(addresses <= {"127.0.0.1"}, f"{service} is published on {addresses}")


def no_way_out(stack: Stack) -> None:
    """Inspect the networks and try: no container can connect to the internet."""
    names = ("backend", "pages", "downloads")
    networks = {name: json.loads(docker("network", "inspect", f"{PROJECT}_{name}"))[0] for name in names}
    for name in ("backend", "downloads"):
        require(networks[name]["Internal"], f"the network {name} is not internal")
    option = networks["pages"]["Options"].get("com.docker.network.bridge.enable_ip_masquerade")
    require(option == "false", f"the network of the pages masquerades: {option}")
    other = {f"{service}-trainer": "downloads" for service in stack.services}
    for service in ("index", "mlflow", *stack.services, *other):
        attached = set(stack.inspect(service)["NetworkSettings"]["Networks"])
        allowed = {f"{PROJECT}_backend", f"{PROJECT}_{other.get(service, 'pages')}"}
        require(attached == allowed, f"{service} is in {attached}")
    code = f"import socket\ntry: socket.create_connection({OUTSIDE}, 3)\nexcept OSError: print('refused')"
    for service in ("index", "mlflow", *stack.services):
        answer = stack.compose("exec", "--no-TTY", service, "python", "-c", code)
        require(answer.strip() == "refused", f"{service} has connected to {OUTSIDE}")


def killed(stack: Stack) -> None:
    """Kill each service: it comes back by itself."""
    for service in stack.services:
        kill(stack, service)
        stack.predict(service)


def without_mlflow(stack: Stack) -> None:
    """Stop MLflow: the services go on, and one that is killed comes back with its last model."""
    stack.compose("stop", "mlflow")
    require_well_ended(stack, "mlflow")
    for service in stack.services:
        stack.predict(service)
        kill(stack, service)
        stack.predict(service)
        require(stack.model(service)["origin"] == "cache", f"{service} has its model from elsewhere than its cache")
    stack.compose("start", "mlflow")
    stack.wait_until_ready(120)


def drained(stack: Stack) -> None:
    """Stop the services: the request in flight is answered, and the exit status is 0."""
    body = json.dumps({"houses": [HOUSE]}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", stack.ports["housing"], timeout=20)
    connection.putrequest("POST", "/v1/predictions")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    time.sleep(1)  # for the headers to arrive: until then there is no request
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(stack.compose, "stop", *stack.services)
        stack.wait("no new connections", partial(refuses, stack, "housing"), 20)
        connection.send(body[10:])
        status = connection.getresponse().status
        stopping.result()
    require(status == httpx.codes.OK, f"the request in flight was answered with {status}")
    for service in stack.services:
        require_well_ended(stack, service)
    stack.compose("start", *stack.services)
    stack.wait_until_ready(120)


def again(stack: Stack) -> None:
    """Take down and start again: the same models, nothing trained."""
    before = {service: stack.model(service) for service in stack.services}
    stack.compose("down")
    go_on(stack, before)


def upgrade_from(earlier: str) -> Check:
    """Return the check that another commit's volumes can be gone on with."""

    def upgrade(stack: Stack) -> None:
        """Start the other commit's stack, take it down, start this one on its volumes: the same models."""
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "commit.tar"
            run("git", "-C", str(ROOT), "archive", "--output", str(archive), earlier)
            with tarfile.open(archive) as files:
                files.extractall(folder, filter="data")
            archive.unlink()
            stack.tree = Path(folder)
            build(stack)
            start(stack)
            before = {service: stack.model(service) for service in stack.services}
            stack.compose("down")
        stack.tree = ROOT
        build(stack)
        go_on(stack, before)

    return upgrade


def go_on(stack: Stack, before: dict[str, dict[str, Any]]) -> None:
    """Start the stack on its volumes, and require the models that it had before."""
    stack.compose("up", "--detach")
    stack.wait_until_ready(180)
    for service in stack.services:
        stack.wait(f"the end of the {service} trainer", partial(ended, stack, f"{service}-trainer"))
        log = stack.compose("logs", "--no-log-prefix", f"{service}-trainer")
        require("is champion" in log and "Registered" not in log, f"{service} was trained again:\n{log}")
        after = stack.model(service)
        for name in ("version", "run_id", "created"):
            require(
                after[name] == before[service][name], f"{service}: {name} was {before[service][name]}: {after[name]}"
            )
        stack.predict(service)


def down(stack: Stack) -> None:
    """Take down with volumes: no container, network or volume is left."""
    stack.compose("down", "--volumes")
    left = volumes() + labelled("ps", "--all") + labelled("network", "ls")
    require(not left, f"left behind: {left}")


CHECKS: tuple[Check, ...] = (
    build,
    start,
    predictions,
    models,
    pages,
    headers,
    confinement,
    no_way_out,
    killed,
    without_mlflow,
    drained,
    again,
    down,
)


def kill(stack: Stack, service: str) -> None:
    """Kill a service from inside, as a crash would be: a kill from outside counts as a wish to stop it."""
    before = stack.inspect(service)["RestartCount"]
    with suppress(CheckError):  # it kills the process that asks as well
        stack.compose("exec", "--no-TTY", service, "python", "-c", "import os; os.kill(-1, 9)")
    stack.wait(f"{service} back", lambda: stack.inspect(service)["RestartCount"] == before + 1, 30)
    stack.wait(f"{service} ready", lambda: get(stack.url(service, "/healthz")).is_success, 30)
    stack.wait(f"{service} with a model", lambda: ready(stack, service), 30)


def ready(stack: Stack, service: str) -> bool:
    """Return whether a service can predict."""
    return httpx.get(stack.url(service, "/readyz"), timeout=5, trust_env=False).is_success


def refuses(stack: Stack, service: str) -> bool:
    """Return whether a service takes no new connection."""
    try:
        httpx.get(stack.url(service, "/healthz"), timeout=10, trust_env=False)
    except httpx.TransportError:
        return True
    return False


def require_well_ended(stack: Stack, service: str) -> None:
    """Require that a container has ended, with status 0."""
    state = stack.inspect(service)["State"]
    found = (state["Status"], state["ExitCode"])
    require(found == ("exited", 0), f"{service}: expected ('exited', 0), found {found}")


def ended(stack: Stack, service: str) -> bool:
    """Return whether a container has run to its end."""
    return bool(stack.inspect(service)["State"]["Status"] == "exited")


def get(url: str) -> httpx.Response:
    """Return the response to a GET; an error status is a failed check."""
    answer = httpx.get(url, timeout=10, trust_env=False)
    require(answer.is_success, f"{url}: {answer.status_code} {answer.text[:200]}")
    return answer


def require(held: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `CheckError` unless it holds."""
    if not held:
        raise CheckError(message)


def docker(*arguments: str) -> str:
    """Run docker and return what it writes."""
    return run("docker", *arguments)


def run(*command: str) -> str:
    """Run a command and return what it writes."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    require(result.returncode == 0, f"{' '.join(command[:3])}: {result.stderr.strip()}")
    return result.stdout


def labelled(*listing: str) -> list[str]:
    """Return what carries this test's project name."""
    return docker(*listing, "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()


def volumes() -> list[str]:
    """Return the volumes of this test."""
    return labelled("volume", "ls")


def take_down(stack: Stack) -> None:
    """Remove whatever there is of this test; layers stay in the builder's cache."""
    stack.compose("down", "--volumes", "--remove-orphans", "--rmi", "all", "--timeout", "10")


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
