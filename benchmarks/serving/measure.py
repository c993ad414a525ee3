"""Contenders that take turns: all of them run, each stopped (SIGSTOP) while another one is asked."""

import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import group
from contenders import Contender, environment
from generator import Generator

from portfolio_shared.serving.schemas import ExampleRequest
from processes import free_port, start, wait_until_ready

MOST_SECONDS = 8
START_SECONDS = 120


@dataclass
class Row:
    """One kind of request to a contender that runs, and what was measured of it so far, by number of clients."""

    request: ExampleRequest
    port: int
    group: int
    ready_seconds: float
    turns: dict[int, list[dict[str, Any]]]
    rate: float = field(default=0.0)

    def take_turn(self, generator: Generator, clients: int, seconds: int) -> None:
        """Ask for some seconds; longer where that many clients would not get their third answer."""
        if not self.rate:
            first = self._load(generator, 1, 1)  # warms it up
            self.rate = max(first["a_second"], 0.1)
        longer = min(MOST_SECONDS, round(3 * clients / self.rate))
        self.turns[clients].append(self._load(generator, clients, max(seconds, longer)))

    def _load(self, generator: Generator, clients: int, seconds: int) -> dict[str, Any]:
        with group.running(self.group):
            before = group.cpu_seconds(self.group)
            turn = generator.load(self.port, self.request, clients=clients, seconds=seconds)
            cpu = group.cpu_seconds(self.group) - before
        answers, refused = turn["answers"], turn["refused"]
        if not answers:
            path = self.request.path
            raise SystemExit(f"{path}: no answer to {clients} clients in {seconds} s, and {refused:,} errors")
        counted = {"a_second": answers / turn["seconds"], "cpu_ms": 1000 * cpu / answers}
        return turn | counted | {"refused_share": refused / (answers + refused)}

    def summary(self) -> dict[str, Any]:
        """Return the median over the rounds of each number, by number of clients, and start and memory."""
        names = ("a_second", "p50", "p99", "cpu_ms", "refused_share")
        loads = {
            str(clients): {name: round(statistics.median(turn[name] for turn in turns), 4) for name in names}
            for clients, turns in self.turns.items()
        }
        return loads | {"ready_seconds": self.ready_seconds} | group.memory_mb(self.group)


def measure(
    project: str,
    chosen: Sequence[Contender],
    generator: Generator,
    clients: Sequence[int],
    *,
    rounds: int,
    seconds: int,
    between: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """Start contenders, let them take turns, and return the summary of each row.

    Parameters
    ----------
    between
        Is called with a word on what comes next: before each start, and before each round.
    """
    rows: dict[str, Row] = {}
    with ExitStack() as stack:
        for contender in chosen:
            between(f"{contender.name} starts")
            rows |= stack.enter_context(started(project, contender, clients))
        for i in range(rounds):
            between(f"round {i + 1} of {rounds}")
            for n in clients:
                for row in rows.values():
                    if n in row.turns:
                        row.take_turn(generator, n, seconds)
        return {name: row.summary() for name, row in rows.items()}


@contextmanager
def started(project: str, contender: Contender, clients: Sequence[int]) -> Iterator[dict[str, Row]]:
    """Start a contender, wait until it is ready, and yield its rows; it is stopped until one of them takes its turn."""
    port = free_port()
    command = [part.format(port=port) for part in contender.command]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        variables = environment(contender, project, folder)
        before = time.perf_counter()
        with start(contender.name, command, log=folder / "log", environment=variables) as process:
            wait_until_ready(process, port, contender.ready, interval=0.005, seconds=START_SECONDS)
            seconds = round(time.perf_counter() - before, 2)
            pid = process.popen.pid
            group.signal_all(pid, signal.SIGSTOP)
            asked = [(name, request, clients) for name, request in contender.requests.items()]
            for n in contender.others.keys() & set(clients):
                asked += [(name, request, [n]) for name, request in contender.others[n].items()]
            try:
                yield {
                    name: Row(request, port, pid, seconds, {n: [] for n in levels}) for name, request, levels in asked
                }
            finally:
                group.signal_all(pid, signal.SIGCONT)  # it hears no SIGTERM else
