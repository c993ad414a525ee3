"""What a shadow costs the champion's answers: a service with a challenger beside it, against one without.

The two take turns in blocks, forwards and backwards (ABBA), and the challenger's process sleeps while the other service
is measured: with one client, so that a core is free; with one client and two processes that take all they get; with 16
clients; and with 16 clients where all of a service has one core. Where none is free, the challenger has to be the one
that gets none: what it is not asked is dropped and counted, and the champion must not notice.
"""

import argparse
import http.client
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np
from prediction_log_cost import request_of
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import ask, service

from portfolio_shared.bundle import bundle_digest
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import bootstrap_interval
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST, get

LIMIT = 1.05
SIDES = ("off", "on")
COUNTS = re.compile(r'^shadow_requests_total\{outcome="(\w+)"\} (\S+)', re.MULTILINE)
WARM_UP_SECONDS = 1.0


class Load(NamedTuple):
    """How many clients ask at once, how many processes compute beside them, how many blocks of how long are measured.

    Where `pinned`, all of a service has one core.
    """

    clients: int
    busy: int
    blocks: int
    seconds: float
    pinned: bool = False


LOADS = {
    "1 client": Load(1, 0, 12, 1.5),
    "1 client, cores busy": Load(1, 2, 6, 3.0),
    "16 clients": Load(16, 0, 6, 3.0),
    "16 clients, one core": Load(16, 0, 6, 3.0, pinned=True),
}
FULL = {"16 clients, one core"}
"""Where more is asked than may wait, and no core has the time for the challenger."""


def main() -> int:
    """Measure, print, write `results/shadow_cost.json`; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--projects", nargs="*", default=["housing"])
    parser.add_argument("--output", type=Path, default=RESULTS / "shadow_cost.json")
    options = parser.parse_args()
    console = Console()
    rows = [row for name in options.projects for row in costs_of(name, options.bundles / name)]
    columns = {"off": 2, "on": 2, "latency": 3, "low": 3, "high": 3, "throughput": 3, "answered": 0, "dropped": 0}
    cells = [
        [row["project"], row["load"], *(f"{row[name]:,.{digits}f}" for name, digits in columns.items())] for row in rows
    ]
    header = ["project", "load", "off, ms", "on", "ratio", "95 % from", "to", "off/on, answers", "answered", "dropped"]
    console.print(terminal_table("The champion's answers with a shadow, and without", header, cells))
    measured = {
        f"{row['project']}, {row['load']}, {what}": row[what] for row in rows for what in ("latency", "throughput")
    }
    recorded = {"python": platform.python_version(), "cores": os.cpu_count(), "costs": rows}
    dropped = {f"{row['project']}, {row['load']}, dropped": row["dropped"] for row in rows if row["load"] in FULL}
    limits = check_limits(measured, dict.fromkeys(measured, LIMIT))
    limits += check_limits(dropped, dict.fromkeys(dropped, 1), least=True)
    return finish(console, options.output, recorded, limits)


def costs_of(project: str, bundle: Path) -> list[dict[str, Any]]:
    """Return what each load comes to."""
    request, prefix = request_of(project, bundle), project.upper().replace("-", "_")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        uri = stack.enter_context(registry(bundle))
        running = {}
        for side, rollout in zip(SIDES, ("off", "shadow"), strict=True):
            settings = {"ROLLOUT": rollout, "TRACKING_URI": uri, "MODEL_CACHE": f"{folder}/{side}"}
            variables = {f"{prefix}_{name}": value for name, value in settings.items()}
            running[side] = stack.enter_context(service(project, None, **variables))
        ports = {side: port for side, (_, port) in running.items()}
        while json.loads(get(ports["on"], "/v1/model")[1])["rollout"]["challenger"] is None:
            time.sleep(0.1)
        processes = [process.popen.pid for process, _ in running.values()]
        child = child_of(processes[-1])
        rows = []
        for name, load in LOADS.items():
            pin([*processes, child], {0} if load.pinned else os.sched_getaffinity(0))
            rows.append({"project": project, "load": name} | cost(load, ports, child, request))
        return rows


def cost(load: Load, ports: dict[str, int], child: int, request: ExampleRequest) -> dict[str, Any]:
    """Measure both services in turns under one load."""
    medians: dict[str, list[float]] = {side: [] for side in SIDES}
    answers: dict[str, list[float]] = {side: [] for side in SIDES}
    before = counts(ports["on"])
    with busy(load.busy):
        for i in range(1 + load.blocks):
            for side in SIDES if i % 2 else reversed(SIDES):
                os.kill(child, signal.SIGCONT if side == "on" else signal.SIGSTOP)
                seconds = block(load, ports[side], request, WARM_UP_SECONDS if i == 0 else load.seconds)
                medians[side].append(statistics.median(seconds))
                answers[side].append(len(seconds))
    os.kill(child, signal.SIGCONT)
    time.sleep(2.0)  # for the process to say what it has done
    after = counts(ports["on"])
    ratios = np.asarray(medians["on"][1:]) / np.asarray(medians["off"][1:])
    interval = bootstrap_interval(lambda sampled: float(np.median(sampled)), ratios)
    lost = np.asarray(answers["off"][1:]) / np.asarray(answers["on"][1:])
    return {
        **{side: round(1e3 * statistics.median(medians[side][1:]), 3) for side in SIDES},
        "latency": round(interval.estimate, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "throughput": round(float(np.median(lost)), 4),
        **{outcome: after[outcome] - before[outcome] for outcome in after},
    }


def block(load: Load, port: int, request: ExampleRequest, seconds: float) -> list[float]:
    """Let all clients ask for some seconds; return how long each answer took."""
    took: list[float] = []
    ends = time.perf_counter() + seconds

    def send() -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        while (started := time.perf_counter()) < ends:
            ask(connection, request)
            took.append(time.perf_counter() - started)
        connection.close()

    clients = [threading.Thread(target=send) for _ in range(load.clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return took


def counts(port: int) -> dict[str, int]:
    """Return what became of the requests that were mirrored."""
    return {outcome: int(float(count)) for outcome, count in COUNTS.findall(get(port, "/metrics")[1])}


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
