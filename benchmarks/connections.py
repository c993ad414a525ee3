"""What clients that send too much, too slowly, or do not read do to a service, and to those who ask it meanwhile.

Each attack meets a service of its own with default settings. Beside it a witness asks /healthz every 50 ms on a new
connection; the peak of the resident memory is that of the whole attack. With --before, the checkout of another commit
is attacked too, and the CPU of /healthz is compared in turns. Prints rows for docs/reliability.md. Linux only.
"""

import argparse
import http.client
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from connection_attacks import ATTACKS, Attack
from prediction_log_cost import clock_of
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import ask, resident_mb, service

from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST
from project_table import ROOT

RESIDENT_MB = {"housing": 300.0, "image-classifier": 1000.0}
WITNESS_MS = 1000.0
CPU_RATIO = 1.05
OPEN_FILES = 1024
HEALTH = ExampleRequest("/healthz", b"")


def main() -> int:
    """Attack, print, write `results/connections.json`; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--before", type=Path, help="checkout of another commit")
    parser.add_argument("--only", nargs="*", choices=[*ATTACKS, "cpu"], default=[*ATTACKS, "cpu"])
    parser.add_argument("--output", type=Path, default=RESULTS / "connections.json")
    options = parser.parse_args()
    checkouts = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    console, rows = Console(), []
    measured: dict[str, float] = {}
    limits: dict[str, float] = {}
    for name in options.only:
        if name == "cpu":
            continue
        project, attack = ATTACKS[name]
        row = {side: attacked(project, options.bundles / project, checkouts[side], attack) for side in checkouts}
        rows.append({"attack": name, "project": project, **row})
        console.print("| " + " | ".join([name, *(described(seen) for seen in row.values())]) + " |", soft_wrap=True)
        measured |= {f"{name}, MB": row["now"]["resident_mb"], f"{name}, others ms": row["now"]["witness_ms"]}
        limits |= {f"{name}, MB": RESIDENT_MB[project], f"{name}, others ms": WITNESS_MS}
    if options.before and "cpu" in options.only:
        ratios = cpu_ratios(options.bundles / "housing", checkouts)
        measured["CPU of /healthz, ratio to before"] = statistics.median(ratios)
        limits["CPU of /healthz, ratio to before"] = CPU_RATIO
    recorded = {"rows": rows, "measured": measured}
    return finish(console, options.output, recorded, check_limits(measured, limits))


def attacked(project: str, bundle: Path, checkout: Path, attack: Attack) -> dict[str, Any]:
    """Return what an attack saw, the largest memory, and what the witness saw."""
    with serving(project, bundle, checkout) as (pid, port), ExitStack() as stack:
        waits: list[float] = []
        over = threading.Event()
        witness = threading.Thread(target=look, args=(port, waits, over))
        witness.start()
        try:
            seen = attack(port, stack)
        finally:
            over.set()
            witness.join()
        lost = sum(wait == float("inf") for wait in waits)
        answered = [wait for wait in waits if wait < float("inf")] or [0.0]
        return {
            "seen": seen,
            "resident_mb": round(resident_mb(pid)),
            "witness_ms": round(1000 * max(answered)),
            "witness_lost": lost,
            "witness_asked": len(waits),
        }


def described(seen: dict[str, Any]) -> str:
    """Return what was seen, in words."""
    lost = f", {seen['witness_lost']} of {seen['witness_asked']} unanswered" if seen["witness_lost"] else ""
    return f"{seen['seen']}; {seen['resident_mb']} MB; others waited {seen['witness_ms']} ms at most{lost}"


@contextmanager
def serving(project: str, bundle: Path, checkout: Path) -> Iterator[tuple[int, int]]:
    """Run the service of a checkout; its process and port."""
    code = [checkout / "shared/src", checkout / "projects" / project / "src"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))  # the service's: what most systems give
    with service(project, bundle, PYTHONPATH=os.pathsep.join(map(str, code))) as (process, port):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        yield process.popen.pid, port


def look(port: int, waits: list[float], over: threading.Event) -> None:
    """Be the witness."""
    while not over.wait(0.05):
        started = time.perf_counter()
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=20)
            ask(connection, HEALTH)
            waits.append(time.perf_counter() - started)
        except (OSError, http.client.HTTPException, SystemExit):
            waits.append(float("inf"))
        finally:
            connection.close()


def cpu_ratios(bundle: Path, checkouts: dict[str, Path]) -> list[float]:
    """Return the CPU of a request to /healthz, now to before, of blocks in turns."""
    with ExitStack() as stack:
        running = {side: stack.enter_context(serving("housing", bundle, path)) for side, path in checkouts.items()}
        connections = {side: http.client.HTTPConnection(HOST, port, timeout=30) for side, (_, port) in running.items()}
        ratios = []
        for _ in range(21):
            used: dict[str, float] = {}
            for side in (*running, *reversed(running)):
                clock = clock_of(running[side][0])
                started = time.clock_gettime(clock)
                for _ in range(300):
                    ask(connections[side], HEALTH)
                used[side] = used.get(side, 0.0) + time.clock_gettime(clock) - started
            ratios.append(used["now"] / used["before"])
        return ratios[1:]


if __name__ == "__main__":
    sys.exit(main())
