"""Mixed load on all three services at once, while what they rest on fails: what was sent, answered, refused and lost.

Each service lives through the same turns again and again: the registry promotes, and has each of its faults; the disk
takes nothing; many connections are left half-sent; in the first part of the time SIGTERM stops the service, and it is
started anew. Clients ask without a pause, send what is wrong as well, and ask again what got no answer. Lost is what
got none in a minute. Every answer of 200 is compared with the first to the same request. Ends with 1 if one was lost or
was another one, or if a row of the prediction log is missing that was not counted as dropped.
"""

import argparse
import http.client
import json
import os
import re
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from endurance_table import RECORD, RELIABILITY, sections
from inputs import inputs_of
from record import check_limits, finish
from rich.console import Console

from faulty_registry import FAULTS, FaultyRegistry, faulty_registry
from portfolio_shared.evaluation.documents import fill_documents
from portfolio_shared.operations.store import connect
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST, Process, free_port, get, start, stop, wait_until_ready
from project_table import projects

CLIENTS = 3
TURN_SECONDS = 3.0
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
RESTARTS = 0.4  # of the time: after it, the memory is watched
HALF_SENT = 40
REFUSALS = {408, 429, 503}
WRONG = {415, 422}  # what is wrong with what was sent
_DROPPED = re.compile(r'^prediction_log_rows_total\{outcome="dropped_\w+"\} (\S+)', re.MULTILINE)


@dataclass
class Outcome:
    """What clients saw of one service; changed by several threads, one count at a time."""

    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # megabytes, of the last process
    peak: float = 0.0
    dropped: float = 0.0  # rows of the log that were counted as such
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count one thing that happened."""
        with self.lock:
            self.seen[what] += 1


class Service:
    """A project's service, which is stopped and started on the same port."""

    def __init__(self, project: str, registry: FaultyRegistry, folder: Path) -> None:
        self.project, self.registry, self.outcome = project, registry, Outcome()
        self.port, self.database = free_port(), folder / "log.db"
        prefix = project.upper().replace("-", "_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(f"{prefix}_")}
        settings = {
            "PORT": self.port,
            "TRACKING_URI": registry.uri,
            "MODEL_CACHE": folder / "models",
            "MODEL_POLL_SECONDS": 0.5,
            "PREDICTION_LOG": f"sqlite:///{self.database}",
        }
        self._environment = clean | {f"{prefix}_{name}": str(value) for name, value in settings.items()}
        self._folder, self._starts = folder, 0
        self.process = self._start()

    def _start(self) -> Process:
        self._starts += 1
        command = [str(Path(sys.executable).with_name(self.project)), "serve"]
        log = self._folder / f"service{self._starts}.log"
        process = start(f"the {self.project} service", command, log=log, environment=self._environment)
        wait_until_ready(process, self.port)
        return process

    def end(self) -> None:
        """Stop it, after what its log has dropped has been counted; a process that does not end well is a fault."""
        self.outcome.dropped += self.dropped_rows()
        self.process.popen.send_signal(signal.SIGTERM)
        if (status := self.process.popen.wait(PATIENCE_SECONDS)) != 0:
            self.outcome.faults.append(f"ended with {status} after SIGTERM")

    def start_anew(self) -> None:
        """Stop it and start it again."""
        self.end()
        self.outcome.memory.clear()
        self.process = self._start()

    def kill(self) -> None:
        """Let nothing of it go on."""
        stop(self.process)

    def dropped_rows(self) -> float:
        """Return how many rows of its log the process says it has dropped."""
        return sum(map(float, _DROPPED.findall(get(self.port, "/metrics")[1])))

    def watch(self) -> None:
        """Note the memory that the process holds now."""
        status = Path(f"/proc/{self.process.popen.pid}/status")
        with suppress(OSError):  # it is being started anew
            lines = status.read_text(encoding="ascii").splitlines()
            self.outcome.memory += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
            self.outcome.peak = max([self.outcome.peak, *self.outcome.memory[-1:]])


def ask(service: Service, requests: list[ExampleRequest], end: threading.Event) -> None:
    """Be one client: ask in turns, each again until it is answered, and compare the answers."""
    first: dict[ExampleRequest, object] = {}
    connection = http.client.HTTPConnection(HOST, service.port, timeout=PATIENCE_SECONDS)
    for request in cycle(requests):
        if end.wait(PAUSE_SECONDS):
            break
        service.outcome.count("sent")
        status, body = answer_to(service, connection, request)
        service.outcome.count("answered" if status == http.client.OK else f"{status}")
        if status == http.client.OK and request.body:
            service.outcome.count("predicted")
            answer = {name: value for name, value in json.loads(body).items() if name not in ("id", "model")}
            if answer != first.setdefault(request, answer):
                service.outcome.faults.append(f"two answers to {request.path}")
        elif status not in {http.client.OK, *WRONG, *REFUSALS}:
            service.outcome.faults.append(f"{request.path} answered {status}: {body[:200]!r}")
    connection.close()


def answer_to(service: Service, connection: http.client.HTTPConnection, request: ExampleRequest) -> tuple[int, bytes]:
    """Return status and body, or 0 where there was no answer in a minute, however often it was asked."""
    late = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < late:
        try:
            method, headers = ("POST", {"Content-Type": request.content_type}) if request.body else ("GET", {})
            connection.request(method, request.path, request.body or None, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            service.outcome.count("asked again")
            connection.close()
            time.sleep(0.05)
    return 0, b"no answer"


def turns(service: Service, seconds: float, end: threading.Event) -> None:
    """Let one thing after the other go wrong until the end."""
    began = time.monotonic()
    each = [promoted, *(with_fault(name) for name in FAULTS), with_full_disk, with_half_sent]
    while not end.is_set():
        for turn in each:
            turn(service, end)
        if time.monotonic() - began < RESTARTS * seconds:
            service.outcome.count("starts")
            service.start_anew()


def promoted(service: Service, end: threading.Event) -> None:
    """Let the alias name the other version."""
    service.outcome.count("promotions")
    of = service.registry.model_version
    of["version"] = "1" if of["version"] == "2" else "2"
    end.wait(TURN_SECONDS)


def with_fault(name: str) -> Callable[[Service, threading.Event], None]:
    """Return what lets the registry have a fault for a while, and promotes meanwhile."""

    def turn(service: Service, end: threading.Event) -> None:
        service.outcome.count("registry faults")
        service.registry.fault = FAULTS[name]
        promoted(service, end)
        service.registry.fault = FAULTS["none"]

    return turn


def with_full_disk(service: Service, end: threading.Event) -> None:
    """Let the process write to no file."""
    service.outcome.count("full disks")
    pid = service.process.popen.pid
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    end.wait(TURN_SECONDS)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def with_half_sent(service: Service, end: threading.Event) -> None:
    """Hold connections on which a request has begun and does not go on."""
    service.outcome.count("half-sent")
    with ExitStack() as stack:
        for _ in range(HALF_SENT):
            held = stack.enter_context(socket.create_connection((HOST, service.port)))
            held.sendall(b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n{")
        end.wait(TURN_SECONDS)


def requests_of(project: str, bundle: Path) -> list[ExampleRequest]:
    """Return what a client asks in turns: what it should, and what it should not."""
    inputs = inputs_of(project, bundle)
    wrong = ExampleRequest(inputs.request.path, b'{"houses": [{}], "history": 1}')
    return [inputs.request, *inputs.others.values(), inputs.request, wrong, ExampleRequest("/v1/model", b"")]


def run_all(services: list[Service], requests: dict[str, list[ExampleRequest]], seconds: float) -> None:
    """Let clients and turns run for the time, and look at the memory each second."""
    end = threading.Event()
    with ThreadPoolExecutor((CLIENTS + 1) * len(services)) as pool:
        running = [pool.submit(ask, each, requests[each.project], end) for each in services for _ in range(CLIENTS)]
        running += [pool.submit(turns, each, seconds, end) for each in services]
        late = time.monotonic() + seconds
        while time.monotonic() < late and not any(future.done() for future in running):
            time.sleep(1.0)
            for service in services:
                service.watch()
        end.set()
        for future in running:
            future.result()


def started(bundles: Path, stack: ExitStack) -> Iterator[Service]:
    """Start every project's service, with a registry of its own."""
    for project in projects():
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = faulty_registry(project.name, "1", bundles / project.name, FAULTS["none"])
        service = Service(project.name, stack.enter_context(registry), folder)
        stack.callback(service.kill)
        yield service


def row_of(service: Service) -> dict[str, Any]:
    """Return what came of one service."""
    outcome, seen = service.outcome, service.outcome.seen
    with closing(connect(f"sqlite:///{service.database}")) as store:
        ((rows,),) = store.execute("SELECT count(*) FROM predictions")
    settled = outcome.memory[min(30, len(outcome.memory) // 4) :]
    return {
        "service": service.project,
        "sent": seen["sent"],
        "answered": seen["answered"],
        "refused": sum(seen[str(status)] for status in REFUSALS),
        "wrong input": sum(seen[str(status)] for status in WRONG),
        "asked again": seen["asked again"],
        "lost": seen["0"],
        "log rows missing": max(0, seen["predicted"] - rows - round(outcome.dropped)),
        "log rows dropped": round(outcome.dropped),
        "turns": {name: seen[name] for name in ("promotions", "registry faults", "full disks", "half-sent", "starts")},
        "memory_mb": [round(settled[0]), round(settled[-1]), round(outcome.peak)],
        "faults": sorted(set(outcome.faults)),
    }


def main() -> int:
    """Run, print, write; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=10.0, help="default: %(default)g")
    parser.add_argument("--output", type=Path, default=RECORD, help="default: %(default)s")
    options = parser.parse_args()
    console = Console()
    with ExitStack() as stack:
        services = list(started(options.bundles, stack))
        requests = {each.project: requests_of(each.project, options.bundles / each.project) for each in services}
        run_all(services, requests, 60 * options.minutes)
        for service in services:
            service.end()
        rows = [row_of(service) for service in services]
    measured = {
        f"{what}, {row['service']}": len(row[what]) if what == "faults" else row[what]
        for row in rows
        for what in ("lost", "log rows missing", "faults")
    }
    recorded = {"minutes": options.minutes, "cores": os.cpu_count(), "services": rows}
    console.print(*sections(recorded).values(), *(row["faults"] for row in rows), sep="\n", markup=False)
    status = finish(console, options.output, recorded, check_limits(measured, dict.fromkeys(measured, 0.0)))
    if options.output == RECORD:
        fill_documents([RELIABILITY], sections(recorded))
    return status


if __name__ == "__main__":
    sys.exit(main())
