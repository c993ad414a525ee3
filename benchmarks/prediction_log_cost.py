"""What observing costs a service: CPU of its process with the prediction log on, off, and with traces, in one run.

The log is turned on and off in one process between turns of ten requests, forwards and backwards (ABBA): two processes
of the same code differ by more than it costs. A block of turns ends when the log's writer has had its half second
twice: its work counts. Traces have a process of their own, beside one without. With --before, the checkout of another
commit is started in turns with this one.
"""

import argparse
import http.client
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from inputs import inputs_of
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import ask, resident_mb, service
from switched_service import OFF as TURN_OFF
from switched_service import ON as TURN_ON
from switched_service import WRITER

from portfolio_shared.evaluation.documents import fill_documents
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import bootstrap_interval
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST
from project_table import ROOT

OFF, LOG, TRACES = "off", "prediction log", "traces"
SIGNALS = {OFF: TURN_OFF, LOG: TURN_ON}
RECORD, OPERATIONS, OBSERVING = RESULTS / "prediction_log_cost.json", ROOT / "docs/operations.md", "observing."
SWITCHED = Path(__file__).with_name("switched_service.py")
SETTLE_SECONDS = 1.1  # twice what the writer waits
LIMIT = 1.03
STARTS_LIMIT = 1.05
TURN = 10  # requests
BLOCK_SECONDS = 1.5
PAIRS = 3  # of processes: two of the same differ by some percent, for as long as they live
COLUMNS = {"us": 0, "ratio": 3, "low": 3, "high": 3}
SIDES = ("before", "now")
UNITS = ("ready, s", "CPU until ready, s", "resident, MB")


def main() -> int:
    """Measure, print, write the record and the runbook's numbers; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--blocks", type=int, default=12, help="blocks of turns of each project (default: %(default)s)")
    parser.add_argument("--before", type=Path, help="checkout of another commit, whose starts are compared")
    parser.add_argument("--starts", type=int, default=4, help="of each side, with --before (default: %(default)s)")
    parser.add_argument("--starts-of", nargs="*", help="projects whose models that commit can read (default: all)")
    parser.add_argument("--projects", nargs="*", default=["housing", "recommender", "image-classifier"])
    parser.add_argument("--output", type=Path, default=RECORD)
    options = parser.parse_args()
    console = Console()
    costs = [row for name in options.projects for row in costs_of(name, options.bundles / name, options.blocks)]
    cells = [
        [row["project"], row["what"], *(f"{row[each]:.{digits}f}" for each, digits in COLUMNS.items())] for row in costs
    ]
    title = f"CPU of the service per request, {options.blocks} blocks of ABBA turns"
    console.print(terminal_table(title, ["project", "with", "us", "ratio to off", "95 % from", "to"], cells))
    limits = {f"{row['project']}, {LOG}": (row["ratio"], LIMIT) for row in costs if row["what"] == LOG}
    starts = []
    if options.before:
        for name in options.starts_of or options.projects:
            starts += starts_of(name, options.bundles / name, options.before, options.starts)
        cells = [[row["project"], row["what"], *(f"{row[side]:.3g}" for side in (*SIDES, "ratio"))] for row in starts]
        title = f"Medians of {options.starts} starts of each commit"
        console.print(terminal_table(title, ["project", "what", *SIDES, "ratio"], cells))
        limits |= {f"{row['project']}, {row['what']}": (row["ratio"], STARTS_LIMIT) for row in starts}
    recorded = {"python": platform.python_version(), "blocks": options.blocks, "costs": costs, "starts": starts}
    checked = check_limits({k: v for k, (v, _) in limits.items()}, {k: v for k, (_, v) in limits.items()})
    if options.output == RECORD:
        fill_documents([OPERATIONS], {}, numbers(recorded), of=OBSERVING)
    return finish(console, options.output, recorded, checked)


def numbers(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return what docs/operations.md states of a record."""
    log = {row["project"]: row for row in recorded["costs"] if row["what"] == LOG}
    off = {row["project"]: row["us"] for row in recorded["costs"] if row["what"] == OFF}
    return {f"{project}.log": f"{100 * row['ratio'] - 100:.1f} %" for project, row in log.items()} | {
        f"{project}.log_us": f"{(row['ratio'] - 1) * off[project]:.0f}" for project, row in log.items()
    }


def costs_of(project: str, bundle: Path, blocks: int) -> list[dict[str, Any]]:
    """Return the CPU time of a request in each way of observing, and its ratio to that without any."""
    request = inputs_of(project, bundle).request
    seconds: dict[str, list[float]] = {OFF: [], LOG: []}
    for _ in range(PAIRS):
        with service(project, bundle, program=[sys.executable, SWITCHED, project]) as (process, port):
            measure_switched(process.popen.pid, port, request, seconds, blocks // PAIRS)
    rows = [cost(project, each, seconds[each], seconds[OFF]) for each in seconds]
    if project == "housing":
        off, seconds = {"PORTFOLIO_PREDICTION_LOG": "off"}, {OFF: [], TRACES: []}
        with receiver() as address:
            ways = {OFF: off, TRACES: off | {"HOUSING_TRACE_URI": address}}
            for _ in range(PAIRS):
                measure_pair(project, bundle, ways, seconds, blocks // PAIRS)
        rows.append(cost(project, TRACES, seconds[TRACES], seconds[OFF]))
    return rows


def measure_switched(
    pid: int, port: int, request: ExampleRequest, seconds: dict[str, list[float]], blocks: int
) -> None:
    """Turn the log of one process on and off between turns, and add the CPU time of a request, by block.

    All that the writer's thread takes is the log's; what it costs other threads while it runs is divided among both.
    """
    clock = clock_of(pid)
    tasks = Path(f"/proc/{pid}/task").iterdir()
    (writer,) = [task for task in tasks if (task / "comm").read_text("ascii").strip() == WRITER]
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    for i in range(1 + blocks):
        ends, n_requests, written = time.perf_counter() + BLOCK_SECONDS, 0, cpu_of(writer)
        others = dict.fromkeys(SIGNALS, 0.0)
        while time.perf_counter() < ends:
            for way in (*SIGNALS, *reversed(SIGNALS)):
                os.kill(pid, SIGNALS[way])
                before = time.clock_gettime(clock) - cpu_of(writer)
                for _ in range(TURN):
                    ask(connection, request)
                time.sleep(0.001)  # an answer is logged after it was sent
                others[way] += time.clock_gettime(clock) - cpu_of(writer) - before
            n_requests += 2 * TURN
        time.sleep(SETTLE_SECONDS)
        if i:  # the first warms up
            others[LOG] += cpu_of(writer) - written
            for way, taken in others.items():
                seconds[way].append(taken / n_requests)
    connection.close()


def cpu_of(thread: Path) -> float:
    """Return the CPU seconds that a thread has had."""
    return int((thread / "schedstat").read_text("ascii").split()[0]) / 1e9


def measure_pair(
    project: str, bundle: Path, ways: dict[str, dict[str, str]], seconds: dict[str, list[float]], blocks: int
) -> None:
    """Start a service that observes and one that does not, and add the CPU time of their requests, by block.

    Two and no more: with three in turns, forwards and backwards, the one in the middle never answers twenty requests
    after each other as the others do, and its cold caches cost it 5 to 10 %.
    """
    request = inputs_of(project, bundle).request
    with ExitStack() as stack:
        running = {each: stack.enter_context(service(project, bundle, **ways[each])) for each in ways}
        clocks = {each: clock_of(process.popen.pid) for each, (process, _) in running.items()}
        ports = {each: port for each, (_, port) in running.items()}
        for i in range(1 + blocks):
            before = {each: time.clock_gettime(clock) for each, clock in clocks.items()}
            n_requests = block(ports, request)
            for each, clock in clocks.items():
                if i:  # the first warms up
                    seconds[each].append((time.clock_gettime(clock) - before[each]) / n_requests)


def block(ports: dict[str, int], request: ExampleRequest) -> int:
    """Ask every service for some seconds, then let their writers end; return how many requests each has answered."""
    connections = {way: http.client.HTTPConnection(HOST, port, timeout=30) for way, port in ports.items()}
    ends, n_requests = time.perf_counter() + BLOCK_SECONDS, 0
    while time.perf_counter() < ends:
        for way in (*ports, *reversed(ports)):
            for _ in range(TURN):
                ask(connections[way], request)
        n_requests += 2 * TURN
    for connection in connections.values():
        connection.close()
    time.sleep(SETTLE_SECONDS)
    return n_requests


def clock_of(pid: int) -> int:
    """Return the clock of another process's CPU time, which Linux names by the process (clock_getcpuclockid)."""
    return (~pid << 3) | 2


def cost(project: str, what: str, seconds: list[float], off: list[float]) -> dict[str, Any]:
    """Summarize the blocks of one way: the median ratio to the same blocks without observing."""
    ratios = np.asarray(seconds) / np.asarray(off)
    interval = bootstrap_interval(lambda sampled: float(np.median(sampled)), ratios)
    return {
        "project": project,
        "what": what,
        "us": round(1e6 * statistics.median(seconds), 1),
        "ratio": round(interval.estimate, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
    }


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(http.client.OK)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """Take spans until the block ends; the address of what takes them."""
    with ThreadingHTTPServer((HOST, 0), _Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/v1/traces"
        server.shutdown()


def starts_of(project: str, bundle: Path, before: Path, n_starts: int) -> list[dict[str, Any]]:
    """Start a checkout of another commit and this one in turns; return the medians of each."""
    request = inputs_of(project, bundle).request
    checkouts = dict(zip(SIDES, (before, ROOT), strict=True))
    measured: dict[str, list[list[float]]] = {side: [] for side in SIDES}
    for i in range(n_starts):
        for side in SIDES if i % 2 else reversed(SIDES):
            measured[side].append(start_of(project, bundle, checkouts[side], request))
    rows = []
    for i, what in enumerate(UNITS):
        medians = {side: round(statistics.median(row[i] for row in measured[side]), 3) for side in SIDES}
        ratio = round(medians["now"] / medians["before"], 3)
        rows.append({"project": project, "what": what, **medians, "ratio": ratio})
    return rows


def start_of(project: str, bundle: Path, checkout: Path, request: ExampleRequest) -> list[float]:
    """Return the wall and CPU seconds until a service can predict, and its largest memory while it answers."""
    code = [checkout / "shared/src", checkout / "projects" / project / "src"]
    started = time.perf_counter()
    with service(project, bundle, PYTHONPATH=os.pathsep.join(map(str, code))) as (process, port):
        ready, cpu = time.perf_counter() - started, time.clock_gettime(clock_of(process.popen.pid))
        block({"": port}, request)
        return [ready, cpu, resident_mb(process.popen.pid)]


if __name__ == "__main__":
    sys.exit(main())
