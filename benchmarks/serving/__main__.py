"""Our services beside others on the same machine in the same run: answers a second, latency, CPU, start and memory.

All contenders run at once, each stopped (SIGSTOP) while another one is asked; they take turns, so whatever else the
machine does falls on all of them. Ratios are what to trust. Linux only.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import group
from contenders import Contender, contenders, environment
from generator import Generator, find_generator
from record import RESULTS
from rich.console import Console

from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import free_port, start, wait_until_ready

PROJECTS = ("housing", "recommender")
MOST_SECONDS = 10


@dataclass
class Row:
    """One kind of request to a contender that runs, and what was measured of it so far."""

    name: str
    request: ExampleRequest
    port: int
    group: int
    rate: float = 0.0
    rounds: Any = None


def main() -> int:
    """Measure the projects, print, write; return 1 if a target is missed."""
    options = parse_options()
    console, generator = Console(), find_generator()
    measured = {}
    for project in options.project or PROJECTS:
        bundle = Path(".state/bundles") / project
        if not bundle.is_dir():
            sys.exit(f"{bundle} does not exist: `make train-{project}` makes it")
        chosen = [each for each in contenders(project, bundle) if not options.only or each.name in options.only]
        measured[project] = measure(project, chosen, generator, options, console)
        console.print(table(project, measured[project], options.clients))
    return 0


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument("--project", action="append", choices=PROJECTS, help="only this one (may be repeated)")
    parser.add_argument("--only", action="append", help="only this contender (may be repeated)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="of a turn (default: %(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="(default: 1 16 64)")
    parser.add_argument("--output", type=Path, default=RESULTS / "serving.json", help="(default: %(default)s)")
    return parser.parse_args()


def measure(
    project: str, chosen: Sequence[Contender], generator: Generator, options: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Start the contenders, let them take turns, and return what each row came to."""
    with ExitStack() as stack:
        rows, starts = list[Row](), dict[str, float]()
        for contender in chosen:
            with console.status(f"{project}: {contender.name} starts"):
                of_contender, seconds = stack.enter_context(started(project, contender))
                for row in of_contender:
                    with group.running(row.group):
                        first = generator.load(row.port, row.request, clients=1, seconds=1)
                    row.rate, row.rounds = first["answers"] / first["seconds"], {n: [] for n in options.clients}
            rows += of_contender
            starts |= {row.name: seconds for row in of_contender}
        for turn in range(options.rounds):
            with console.status(f"{project}: round {turn + 1} of {options.rounds}"):
                for clients in options.clients:
                    for row in rows:
                        row.rounds[clients].append(take_turn(row, generator, clients, options.seconds))
        memory = {}
        for row in rows:
            memory[row.name] = group.memory_mb(row.group)
    return {row.name: summary(row.rounds) | {"ready_seconds": starts[row.name]} | memory[row.name] for row in rows}


@contextmanager
def started(project: str, contender: Contender) -> Iterator[tuple[list[Row], float]]:
    """Start a contender; yield its rows and the seconds until it was ready, and leave it stopped."""
    port = free_port()
    command = [part.format(port=port) for part in contender.command]
    with TemporaryDirectory() as place:
        folder = Path(place)
        before = time.perf_counter()
        process = start(
            contender.name, command, log=folder / "log", environment=environment(contender, project, folder)
        )
        with process:
            wait_until_ready(process, port, contender.ready, interval=0.005, seconds=120)
            seconds = round(time.perf_counter() - before, 2)
            pid = process.popen.pid
            group.signal_all(pid, signal.SIGSTOP)
            try:
                yield [Row(name, request, port, pid) for name, request in contender.requests.items()], seconds
            finally:
                group.signal_all(pid, signal.SIGCONT)


def take_turn(row: Row, generator: Generator, clients: int, seconds: int) -> dict[str, Any]:
    """Ask for some seconds; longer where that many clients have to wait for their second answer."""
    longest = min(MOST_SECONDS, round(3 * clients / max(row.rate, 0.1)))
    with group.running(row.group):
        before = group.cpu_seconds(row.group)
        turn = generator.load(row.port, row.request, clients=clients, seconds=max(seconds, longest))
        cpu = group.cpu_seconds(row.group) - before
    done = turn["answers"] + turn["refused"]
    return turn | {"a_second": turn["answers"] / turn["seconds"], "cpu_ms": 1000 * cpu / max(done, 1)}


def summary(rounds: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the median over the rounds of each number, by how many clients asked."""
    names = ("a_second", "p50", "p99", "cpu_ms", "refused")
    return {
        str(clients): {name: round(statistics.median(turn[name] for turn in turns), 3) for name in names}
        for clients, turns in rounds.items()
    }


def table(project: str, measured: dict[str, Any], clients: Sequence[int]) -> Any:
    """Return a row for each kind of request."""
    headings = ["", *(f"{n} clients: a second, p50, p99, CPU ms" for n in clients), "ready, s", "PSS, MB"]
    rows = []
    for name, each in measured.items():
        cells = [
            f"{of['a_second']:,.0f}  {of['p50']:.2f}  {of['p99']:.2f}  {of['cpu_ms']:.3f}"
            for of in (each[str(n)] for n in clients)
        ]
        rows.append([name, *cells, f"{each['ready_seconds']:.2f}", f"{each['pss_mb']:.0f}"])
    return terminal_table(project, headings, rows)


if __name__ == "__main__":
    sys.exit(main())
