"""What a shadow costs the champion's answers: a service with a challenger beside it, against one without.

The two take turns in blocks, forwards and backwards (ABBA), and the challenger's process sleeps while the other service
is measured. Each round starts both anew, the one first in even rounds and the other in odd ones, so that no process's
luck is taken for the shadow's cost; the interval is that of the rounds. Limits are on the upper end of it, with one
client: one that pauses after each answer, and one that does not, which with the service keeps more than one core busy.
The other loads leave no core free and are measured alone: what the challenger cannot take is dropped and counted.
"""

import argparse
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
from inputs import inputs_of
from record import RESULTS, Limit, check_limits, finish
from rich.console import Console
from serving_cost import ask, counted, ratio, ratio_cell, service, verdict

from portfolio_shared.bundle import bundle_digest
from portfolio_shared.evaluation.documents import fill_documents
from portfolio_shared.evaluation.sections import markdown_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST, get
from project_table import ROOT

RECORD, OPERATIONS = RESULTS / "shadow_cost.json", ROOT / "docs/operations.md"
LIMIT = 1.05
ROLLOUTS = {"off": "off", "on": "shadow"}
MIRRORED = "shadow_requests_total"
WARM_UP_SECONDS, BLOCK_SECONDS, FLOOD_SECONDS = 0.25, 0.5, 45.0
SETTLE_SECONDS = 1.5  # in which the challenger's process says what it has done


class Load(NamedTuple):
    """How many clients ask at once, how many processes compute beside them, how many blocks a round are measured.

    A client pauses for some seconds after each answer. Where `pinned`, all of a service has one core.
    """

    clients: int
    busy: int
    blocks: int
    pause: float = 0.0
    pinned: bool = False


PAUSING, FREE, FULL = "1 client that pauses", "1 client", "16 clients, one core"
LIMITED = {PAUSING: ("latency",), FREE: ("latency", "throughput")}
"""Load -> what is limited. Of a client that pauses the throughput says little: most of its time it asks nothing."""
LOADS = {
    PAUSING: Load(1, 0, 8, pause=0.002),
    FREE: Load(1, 0, 8),
    "1 client, cores busy": Load(1, 2, 3),
    "16 clients": Load(16, 0, 3),
    FULL: Load(16, 0, 3, pinned=True),
}


class Pair(NamedTuple):
    """A service without and one with a shadow: their ports and processes, and that of the challenger."""

    ports: dict[str, int]
    processes: list[int]
    child: int


def main() -> int:
    """Measure, print, write the record and the runbook's table; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--projects", nargs="+", default=["housing"])
    parser.add_argument("--rounds", type=int, default=8, help="at least 2; about 30 s each (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RECORD)
    options = parser.parse_args()
    console = Console()
    rows = [row for name in options.projects for row in costs_of(name, options.bundles / name, options.rounds)]
    recorded = {"python": platform.python_version(), "cores": os.cpu_count(), "rounds": options.rounds, "costs": rows}
    console.print(*sections(recorded).values(), markup=False, soft_wrap=True)
    status = finish(console, options.output, recorded, limits_of(rows))
    if options.output == RECORD:
        fill_documents([OPERATIONS], sections(recorded))
    return status


def sections(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the runbook's table of a record."""
    header = ["the champion's answers", "without, ms", "with", "ratio (95 % interval)", "answers, without / with"]
    rows = [
        [f"{row['project']}, {row['load']}", f"{row['off']:.2f}", f"{row['on']:.2f}"]
        + [with_verdict(row, what) for what in ("latency", "throughput")]
        + [f"{row['dropped'] / (row['answered'] + row['dropped']):.0%}".replace("%", " %")]
        for row in recorded["costs"]
    ]
    return {"shadow-cost": markdown_table([*header, "not mirrored"], rows)}


def with_verdict(row: Mapping[str, Any], what: str) -> str:
    """Return a ratio with its interval, and how it keeps its limit if it has one."""
    limited = what in LIMITED.get(row["load"], ())
    return ratio_cell(row[what]) + (f"; {verdict(row[what], LIMIT)}" if limited else "")


def limits_of(rows: Sequence[Mapping[str, Any]]) -> list[Limit]:
    """Return the limits: on what the interval does not rule out with one client, and that drops are counted."""
    ends: dict[str, float] = {}
    dropped: dict[str, float] = {}
    for row in rows:
        name = f"{row['project']}, {row['load']}"
        ends |= {f"{name}, {what}, upper end": row[what][2] for what in LIMITED.get(row["load"], ())}
        if row["load"] == FULL:
            dropped[f"{name}, dropped"] = row["dropped"]
    kept = check_limits(ends, dict.fromkeys(ends, LIMIT))
    return kept + check_limits(dropped, dict.fromkeys(dropped, 1), least=True)


def costs_of(project: str, bundle: Path, rounds: int) -> list[dict[str, Any]]:
    """Return what each load comes to; what is asked is counted in the last round, and of the last load in a flood."""
    request, cores = inputs_of(project, bundle).request, os.sched_getaffinity(0)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in LOADS}
    mirrored: dict[str, dict[str, int]] = {}
    with registry(bundle) as uri:
        for number in range(rounds):
            with pair(project, uri, list(ROLLOUTS)[:: -1 if number % 2 else 1]) as both:
                for name, load in LOADS.items():
                    pin([*both.processes, both.child], {min(cores)} if load.pinned else cores)
                    before = counted(both.ports["on"], MIRRORED)
                    measured[name].append(turns(load, both, request))
                    if number < rounds - 1:
                        continue
                    if name == FULL:
                        flood(load, both.ports["on"], request)
                    time.sleep(SETTLE_SECONDS)
                    after = counted(both.ports["on"], MIRRORED)
                    mirrored[name] = {outcome: after[outcome] - before[outcome] for outcome in after}
    return [
        {"project": project, "load": name}
        | {side: round(statistics.median(row[side] for row in rows), 3) for side in ROLLOUTS}
        | {what: [round(end, 4) for end in ratio([row[what] for row in rows])] for what in ("latency", "throughput")}
        | mirrored[name]
        for name, rows in measured.items()
    ]


@contextmanager
def pair(project: str, uri: str, order: Sequence[str]) -> Iterator[Pair]:
    """Start both services in an order, and wait for the challenger; they run until the block ends."""
    prefix = project.upper().replace("-", "_")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        running = {}
        for side in order:
            settings = {"ROLLOUT": ROLLOUTS[side], "TRACKING_URI": uri, "MODEL_CACHE": f"{folder}/{side}"}
            variables = {f"{prefix}_{name}": value for name, value in settings.items()}
            running[side] = stack.enter_context(service(project, None, **variables))
        ports = {side: port for side, (_, port) in running.items()}
        while json.loads(get(ports["on"], "/v1/model")[1])["rollout"]["challenger"] is None:
            time.sleep(0.1)
        child = child_of(running["on"][0].popen.pid)
        yield Pair(ports, [process.popen.pid for process, _ in running.values()], child)


def turns(load: Load, both: Pair, request: ExampleRequest) -> dict[str, float]:
    """Measure both services in turns: medians of milliseconds, and how much slower and rarer answers are with one."""
    medians: dict[str, list[float]] = {side: [] for side in ROLLOUTS}
    answers = dict.fromkeys(ROLLOUTS, 0)
    with busy(load.busy):
        for i in range(1 + load.blocks):
            for side in ROLLOUTS if i % 2 else reversed(ROLLOUTS):
                os.kill(both.child, signal.SIGCONT if side == "on" else signal.SIGSTOP)
                seconds = block(load, both.ports[side], request, BLOCK_SECONDS if i else WARM_UP_SECONDS)
                if i:
                    medians[side].append(1e3 * statistics.median(seconds))
                    answers[side] += len(seconds)
    os.kill(both.child, signal.SIGCONT)
    slower = statistics.median(np.divide(medians["on"], medians["off"]).tolist())
    typical = {side: statistics.median(milliseconds) for side, milliseconds in medians.items()}
    return typical | {"latency": slower, "throughput": answers["off"] / answers["on"]}


def flood(load: Load, port: int, request: ExampleRequest) -> None:
    """Ask until more waits than may and something is dropped, but not for ever."""
    ends = time.monotonic() + FLOOD_SECONDS
    while not counted(port, MIRRORED)["dropped"] and time.monotonic() < ends:
        block(load, port, request, BLOCK_SECONDS)


def block(load: Load, port: int, request: ExampleRequest, seconds: float) -> list[float]:
    """Let all clients ask for some seconds; return how long each answer took."""
    took: list[float] = []
    ends = time.perf_counter() + seconds

    def send() -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        while (started := time.perf_counter()) < ends:
            ask(connection, request)
            took.append(time.perf_counter() - started)
            if load.pause:
                time.sleep(load.pause)
        connection.close()

    with ThreadPoolExecutor(load.clients) as clients:
        for client in [clients.submit(send) for _ in range(load.clients)]:
            client.result()
    return took


def child_of(pid: int) -> int:
    """Return the process that a service has started."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    (child,) = [int(child) for thread in threads for child in (thread / "children").read_text("ascii").split()]
    return child


def pin(processes: Iterable[int], cores: set[int]) -> None:
    """Let processes run on these cores alone."""
    for pid in processes:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def busy(n_processes: int) -> Iterator[None]:
    """Keep cores busy until the block ends."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_processes)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class _Registry(BaseHTTPRequestHandler):
    """Says what a service asks of MLflow, of one model: its first version is champion, its second the challenger."""

    def __init__(self, bundle: Path, *args: Any) -> None:
        self._bundle = bundle
        super().__init__(*args)

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path.endswith("/registered-models/alias"):
            tags = [{"key": "bundle_sha256", "value": bundle_digest(self._bundle)}]
            number = "1" if query["alias"] == "champion" else "2"
            answer = {"model_version": {"name": query["name"], "version": number, "run_id": "", "tags": tags}}
            body = json.dumps(answer).encode()
        elif address.path.endswith("/get-download-uri"):
            body = b'{"artifact_uri": "mlflow-artifacts:/model"}'
        else:
            body = (self._bundle / address.path.partition("/artifacts/bundle/")[2]).read_bytes()
        self.send_response(http.client.OK)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def registry(bundle: Path) -> Iterator[str]:
    """Serve a bundle as two versions of a model until the block ends; the address to ask."""
    with ThreadingHTTPServer((HOST, 0), partial(_Registry, bundle)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
