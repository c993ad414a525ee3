"""What observing costs a service: CPU of its process with the prediction log on, off, and with traces, in one run.

The log is turned on and off in one process between turns of ten requests, forwards and backwards (ABBA): two processes
of the same code differ by more than it costs. Each process gives one ratio, and the interval is that of the processes.
A block of turns ends when the log's writer has had its half second twice: its work counts. Traces have a process of
their own, beside one without. With --before, the checkout of another commit is started in turns with this one.
"""

import argparse
import http.client
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from inputs import inputs_of
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import ask, counted, ratio, ratio_cell, resident_mb, service, verdict
from switched_service import OFF as TURN_OFF
from switched_service import ON as TURN_ON
from switched_service import WRITER

from portfolio_shared.evaluation.documents import fill_documents
from portfolio_shared.evaluation.sections import markdown_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST
from project_table import ROOT

OFF, LOG, TRACES = "off", "prediction log", "traces"
SIGNALS = {OFF: TURN_OFF, LOG: TURN_ON}
RECORD, OPERATIONS = RESULTS / "prediction_log_cost.json", ROOT / "docs/operations.md"
SWITCHED = Path(__file__).with_name("switched_service.py")
SETTLE_SECONDS = 1.1  # twice what the writer waits
LIMIT = 1.03
STARTS_LIMIT = 1.05
TURN = 10  # requests
BLOCK_SECONDS = 1.5
PROJECTS = ("housing", "recommender", "image-classifier")
SIDES = ("before", "now")
UNITS = ("ready, s", "CPU until ready, s", "resident, MB")


def main() -> int:
    """Measure, print, write the record and, if it is whole, the runbook's tables; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--processes", type=int, default=8, help="of each project, at least 2 (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=2, help="blocks of turns of each process (default: %(default)s)")
    parser.add_argument("--before", type=Path, help="checkout of another commit, whose starts are compared")
    parser.add_argument("--starts", type=int, default=10, help="of each side, with --before (default: %(default)s)")
    parser.add_argument("--starts-of", nargs="*", help="projects whose models that commit can read (default: all)")
    parser.add_argument("--projects", nargs="*", default=list(PROJECTS))
    parser.add_argument("--output", type=Path, help="default: the record if all is measured, else a file in .state")
    options = parser.parse_args()
    whole = options.before and options.projects == list(PROJECTS)
    output = options.output or (RECORD if whole else Path(".state") / RECORD.name)
    console, measured = Console(), (options.processes, options.blocks)
    costs = [row for name in options.projects for row in costs_of(name, options.bundles / name, *measured)]
    starts = []
    if options.before:
        for name in options.starts_of or options.projects:
            starts += starts_of(name, options.bundles / name, options.before, options.starts)
    recorded = {
        "python": platform.python_version(),
        **dict(zip(("processes", "blocks"), measured, strict=True)),
        "costs": costs,
        "before": commit_of(options.before) if options.before else None,
        "n_starts": options.starts,
        "starts": starts,
    }
    for section in sections(recorded).values():
        console.print(section, markup=False, soft_wrap=True)
    limits = {f"{row['project']}, {LOG}": (row["ratio"][0], LIMIT) for row in costs if row["what"] == LOG}
    limits |= {f"{row['project']}, {row['what']}": (row["ratio"][0], STARTS_LIMIT) for row in starts}
    checked = check_limits({k: v for k, (v, _) in limits.items()}, {k: v for k, (_, v) in limits.items()})
    status = finish(console, output, recorded, checked)
    if output == RECORD:
        fill_documents([OPERATIONS], sections(recorded))
    return status


def sections(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return the runbook's tables of a record."""
    costs = [
        cells(row, f"{row['off']:,.0f}", f"{row['on']:,.0f}", LIMIT if row["what"] == LOG else None)
        for row in recorded["costs"]
    ]
    starts = [cells(row, f"{row['before']:.3g}", f"{row['now']:.3g}", STARTS_LIMIT) for row in recorded["starts"]]
    without = ["CPU of a request, microseconds", "without", "with", "ratio (95 % interval)", "limit"]
    beside = [f"{recorded['n_starts']} starts, medians", f"{recorded['before']}", "now", without[3], "limit"]
    return {"observing-cost": markdown_table(without, costs), "observing-starts": markdown_table(beside, starts)}


def cells(row: Mapping[str, Any], without: str, beside: str, limit: float | None) -> list[str]:
    """Return a row of a table."""
    name, judged = f"{row['project']}, {row['what']}", verdict(row["ratio"], limit) if limit else ""
    return [name, without, beside, ratio_cell(row["ratio"]), judged]


def commit_of(checkout: Path) -> str:
    """Return the short name of the commit that is checked out."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def costs_of(project: str, bundle: Path, n_processes: int, blocks: int) -> list[dict[str, Any]]:
    """Return the CPU time of a request without and with each way of observing, and their ratio."""
    request = inputs_of(project, bundle).request
    measured = []
    for _ in range(n_processes):
        with service(project, bundle, program=[sys.executable, SWITCHED, project]) as (process, port):
            measured.append(measure_switched(process.popen.pid, port, request, blocks))
    rows = [cost(project, LOG, measured)]
    if project == "housing":
        off = {"PORTFOLIO_PREDICTION_LOG": "off"}
        with receiver() as address:
            ways = {OFF: off, TRACES: off | {"HOUSING_TRACE_URI": address}}
            measured = [measure_pair(project, bundle, ways, blocks) for _ in range(n_processes)]
        rows.append(cost(project, TRACES, measured))
    return rows


def measure_switched(pid: int, port: int, request: ExampleRequest, blocks: int) -> dict[str, float]:
    """Turn the log of one process on and off between turns, and return the CPU time of a request in both ways.

    All that the writer's thread takes is the log's; what it costs other threads while it runs is divided among both.
    """
    clock = clock_of(pid)
    tasks = Path(f"/proc/{pid}/task").iterdir()
    (writer,) = [task for task in tasks if (task / "comm").read_text("ascii").strip() == WRITER]
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    seconds, measured, asked = dict.fromkeys(SIGNALS, 0.0), 0, 0
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
        asked += n_requests
        if i:  # the first warms up
            others[LOG] += cpu_of(writer) - written
            seconds = {way: seconds[way] + taken for way, taken in others.items()}
            measured += n_requests
    connection.close()
    if (rows := counted(port, "prediction_log_rows_total")) != dict.fromkeys(rows, 0) | {"written": asked}:
        raise SystemExit(f"of {asked} requests while the log was on, and as many while it was off, it counts {rows}")
    return {way: taken / measured for way, taken in seconds.items()}


def cpu_of(thread: Path) -> float:
    """Return the CPU seconds that a thread has had."""
    return int((thread / "schedstat").read_text("ascii").split()[0]) / 1e9


def measure_pair(project: str, bundle: Path, ways: dict[str, dict[str, str]], blocks: int) -> dict[str, float]:
    """Start a service that observes and one that does not, and return the CPU time of a request of each.

    Two and no more: with three in turns, forwards and backwards, the one in the middle never answers twenty requests
    after each other as the others do, and its cold caches cost it 5 to 10 %.
    """
    request = inputs_of(project, bundle).request
    with ExitStack() as stack:
        running = {each: stack.enter_context(service(project, bundle, **ways[each])) for each in ways}
        clocks = {each: clock_of(process.popen.pid) for each, (process, _) in running.items()}
        ports = {each: port for each, (_, port) in running.items()}
        block(ports, request)  # warms up
        before = {each: time.clock_gettime(clock) for each, clock in clocks.items()}
        n_requests = sum(block(ports, request) for _ in range(blocks))
        return {each: (time.clock_gettime(clock) - before[each]) / n_requests for each, clock in clocks.items()}


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


def cost(project: str, what: str, measured: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Summarize processes: medians in microseconds, and the ratio with its interval."""
    micros = {
        side: 1e6 * statistics.median(each[way] for each in measured) for side, way in (("off", OFF), ("on", what))
    }
    ratios = ratio([each[what] / each[OFF] for each in measured])
    rounded = {side: round(each, 1) for side, each in micros.items()}
    return {"project": project, "what": what, **rounded, "ratio": [round(end, 4) for end in ratios]}


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
        ratios = ratio([now[i] / then[i] for then, now in zip(*measured.values(), strict=True)])
        rows.append({"project": project, "what": what, **medians, "ratio": [round(end, 4) for end in ratios]})
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
