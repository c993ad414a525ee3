"""Build the stack, start it on what ships with no way out, and see that it does what docker/README.md promises.

It runs beside a stack that is up already: it has its own project name, ports, volumes and images, and leaves none of
them. With `--upgrade-from COMMIT` that commit's stack writes the volumes, and this one must go on with them; a model of
another sample than the one that ships is trained anew.
Exit status 0 if everything held, 1 if not, 3 if there is no container engine.
"""

import argparse
import http.client
import json
import signal
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx

import compose_host
from compose_confinement import confinement, no_way_out
from compose_pipeline import pipelined
from compose_spark import on_spark
from compose_stack import (
    ROOT,
    CheckError,
    Stack,
    example_request,
    labeled,
    require,
    require_equal,
    sample_sha256,
)
from compose_watch import watched
from processes import HOST, ProcessError, output_of
from project_table import projects

NO_ENGINE = 3
START_SECONDS = 900.0


def main() -> int:
    """Run the checks in order; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--upgrade-from", metavar="COMMIT", default="", help="only see that its volumes can be gone on with"
    )
    parser.add_argument("--beyond", action="store_true", help="also the pipeline, backups, Spark and a host of Debian")
    options = parser.parse_args()
    earlier = options.upgrade_from
    checks = (*BASE, *BEYOND) if options.beyond else (*BASE, down)
    try:
        output_of("docker", "version")
    except (ProcessError, OSError) as error:
        print(f"Not run: there is no container engine here ({error})", file=sys.stderr)
        return NO_ENGINE
    stack = Stack(tuple(project.name for project in projects()), earlier)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and what was started is taken down
    try:
        stack.take_down()
        for check in (upgrade, down) if earlier else checks:
            started = time.monotonic()
            check(stack)
            print(f"ok    {time.monotonic() - started:6.1f} s  {check.__doc__}", flush=True)
    except (CheckError, ProcessError, httpx.HTTPError, http.client.HTTPException, OSError, KeyError) as error:
        print(f"FAILED  {check.__doc__}\n{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        print(stack.compose("logs", "--tail", "15"))
        return 1
    finally:
        stack.take_down()
    return 0


def build(stack: Stack) -> None:
    """Build every image that `docker compose up` starts."""
    _build(stack)


def build_others(stack: Stack) -> None:
    """Build the images of profiles."""
    _build(stack, "--profile", "*")


def _build(stack: Stack, *options: str) -> None:
    services = json.loads(stack.compose(*options, "config", "--format", "json"))["services"]
    for name in sorted(name for name, service in services.items() if "build" in service):
        stack.compose("build", "--quiet", name)  # one at a time: each uses every core


def start(stack: Stack) -> None:
    """Start from nothing, without a way out of the machine: every server gets healthy, every model is trained."""
    left = labeled("volume", "ls")
    require(not left, f"volumes are left from before: {left}")
    stack.compose("up", "--detach", "--quiet-pull")
    stack.wait_until_ready(START_SECONDS)


def predictions(stack: Stack) -> None:
    """Predict with each service; read which model answers, and that it learned from what ships."""
    for service in stack.services:
        stack.predict(service)
        model = stack.model(service)
        actual = {name: model[name] for name in ("project", "version", "origin")} | {"data": model["data"]["sha256"]}
        expected = {"project": service, "version": "1", "origin": "registry", "data": sample_sha256(service)}
        require_equal(service, actual, expected)


def pages(stack: Stack) -> None:
    """Follow the start page: it leads everywhere, as each page does; it knows each model; the log names the address."""
    page = stack.get("index").text
    for service in stack.services:
        require(stack.url(service) in page, f"the start page has no link to {service}")
        links = stack.get(service).text
        for other in {"index", *stack.services} - {service}:
            require(f'href="{stack.url(other)}"' in links, f"the page of {service} has no link to {other}")
    require(stack.url("mlflow") in page, "the start page has no link to MLflow")
    require(page.count('data-state="ready"') == len(stack.services), "the start page says that a model is missing")
    require("<html" in stack.get("mlflow").text, "MLflow shows no page")
    stack.wait("the line of addresses", lambda: stack.url("index") in stack.compose("logs", "index"), 10)


def headers(stack: Stack) -> None:
    """Look at headers: pages are protected, large bodies are refused, MLflow refuses foreign names."""
    for service in ("index", *stack.services):
        answer = stack.get(service)
        policy = answer.headers.get("content-security-policy", "")
        require("default-src 'self'" in policy, f"{service} has the content security policy {policy!r}")
        require(answer.headers.get("x-content-type-options") == "nosniff", f"{service} lacks nosniff")
        require("server" not in answer.headers, f"{service} names its server: {answer.headers.get('server')}")
    for service in stack.services:
        with closing(announce(stack, service, 10**9)) as connection:
            status = connection.getresponse().status
        require(status == httpx.codes.REQUEST_ENTITY_TOO_LARGE, f"{service} took a body of 1 GB: {status}")
    foreign = httpx.get(stack.url("mlflow"), headers={"Host": "elsewhere.example"}, trust_env=False)
    require(foreign.status_code == httpx.codes.FORBIDDEN, f"MLflow answered a foreign name: {foreign.status_code}")


def announce(stack: Stack, service: str, length: int) -> http.client.HTTPConnection:
    """Send the head of a request for a prediction, with a body of this many bytes to come."""
    example = example_request(service)
    connection = http.client.HTTPConnection(HOST, stack.ports[service], timeout=20)
    connection.putrequest("POST", example.path)
    connection.putheader("Content-Type", example.content_type)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    return connection


def killed(stack: Stack) -> None:
    """Kill each service: it comes back by itself."""
    for service in stack.services:
        stack.kill(service)
        stack.predict(service)


def without_mlflow(stack: Stack) -> None:
    """Stop MLflow: the services go on, and one that is killed comes back with its last model."""
    stack.compose("stop", "mlflow")
    require_well_ended(stack, "mlflow")
    for service in stack.services:
        stack.predict(service)
        stack.kill(service)
        stack.predict(service)
        require(stack.model(service)["origin"] == "cache", f"{service} has its model from elsewhere than its cache")
    stack.compose("start", "mlflow")
    stack.wait_until_ready(120)


def drained(stack: Stack) -> None:
    """Stop the services: the request in flight is answered, and the exit status is 0."""
    service = stack.services[0]
    body = example_request(service).body
    connection = announce(stack, service, len(body))
    connection.send(body[:10])
    time.sleep(1)  # for the headers to arrive: until then there is no request
    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(stack.compose, "stop", *stack.services)
        stack.wait("no new connections", lambda: not stack.answers(service, "/healthz"), 20)
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


def upgrade(stack: Stack) -> None:
    """Start the other commit's stack, take it down, start this one on its volumes: the same models, or better data."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "commit.tar"
        output_of("git", "-C", str(ROOT), "archive", "--output", str(archive), stack.earlier)
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


def go_on(stack: Stack, before: dict[str, dict[str, Any]]) -> None:
    """Start the stack on its volumes, and require the models that it had before, but those of another sample."""
    stack.compose("up", "--detach")
    stack.wait_until_ready(180)
    for service, model in before.items():
        stack.wait(f"the end of the {service} trainer", partial(stack.has_ended, f"{service}-trainer"), START_SECONDS)
        stack.wait_until_ready(180)  # and none has failed
        log = stack.compose("logs", "--no-log-prefix", f"{service}-trainer")
        sample = sample_sha256(service)
        if model["data"]["source"] == "sample" and model["data"]["sha256"] != sample:
            require("learned from a sample" in log and "as champion" in log, f"{service} was not trained again:\n{log}")
            stack.wait(f"{service} with it", partial(stack.learned_from, service, sample))
        else:
            require("is champion" in log and "Registered" not in log, f"{service} was trained again:\n{log}")
            after = stack.model(service)
            for name in ("version", "run_id", "created"):
                require_equal(f"{service}, {name}", after[name], model[name])
        stack.predict(service)


def down(stack: Stack) -> None:
    """Take down with volumes: no container, network or volume is left."""
    stack.compose("--profile", "*", "down", "--volumes")
    left = labeled("volume", "ls") + labeled("ps", "--all") + labeled("network", "ls")
    require(not left, f"left behind: {left}")


def require_well_ended(stack: Stack, service: str) -> None:
    """Require that a container has ended, with status 0."""
    state = stack.inspect(service)["State"]
    require_equal(service, (state["Status"], state["ExitCode"]), ("exited", 0))


BASE = (
    build,
    start,
    predictions,
    pages,
    headers,
    watched,
    confinement,
    no_way_out,
    killed,
    without_mlflow,
    drained,
    again,
)
BEYOND = (build_others, pipelined, compose_host.restored, on_spark, down, compose_host.applied_twice)


if __name__ == "__main__":
    sys.exit(main())
