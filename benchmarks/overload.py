"""What a service does with five times the load that it can answer: arrivals at a rate, and clients that ask at once.

For one house, 200 houses, 50 histories of films, and a picture: the capacity is what a few clients get that ask again
as soon as they have an answer, before the loads and after them. Beside each load /healthz is asked every 50 ms, and
after it the request until it is answered. CPU of a refusal is what remains of the process's CPU when each answer is
charged what it cost alone.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

from overload_client import Load, Seen, offer
from PIL import Image
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import resident_mb, service, upload

from compose_stack import example_request
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST, ProcessError

TIMES = 5
ALONE = Load("alone", clients=8)
CLOSED = tuple(Load(f"{clients} clients", clients=clients) for clients in (8, 80, 320))
PICTURE = (500, 375)


def main() -> int:
    """Measure, print, write `results/overload.json`; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (default: %(default)g)")
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of models")
    parser.add_argument("--before", type=Path, help="results of another commit, to print both for docs/reliability.md")
    parser.add_argument("--output", type=Path, default=RESULTS / "overload.json", help="file to write")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown kinds {sorted(unknown)}; there are {', '.join(KINDS)}")
    console = Console()
    rows = []
    for kind in options.kinds or KINDS:
        project, request = KINDS[kind]
        with console.status(kind):
            rows += measure(kind, project, options.bundles / project, request(), options.seconds)
    headings = [heading.replace("_", " ") for heading in COLUMNS]
    console.print(terminal_table(f"{TIMES} times the capacity", headings, [cells(row) for row in rows]))
    if options.before is not None:
        print(*both(json.loads(options.before.read_text(encoding="utf-8"))["rows"], rows), sep="\n")
    recorded = {"seconds": options.seconds, "cores": os.cpu_count(), "python": platform.python_version(), "rows": rows}
    most = {what: max(row[what] for row in rows) for what in AT_MOST}
    least = {what: min(row[what] for row in rows) for what in AT_LEAST}
    limits = check_limits(most, AT_MOST) + check_limits(least, AT_LEAST, least=True)
    return finish(console, options.output, recorded, limits)


def cells(row: dict[str, Any]) -> list[str]:
    """Return a row as the table shows it."""
    return [f"{row[column]:,g}" if isinstance(row[column], int | float) else row[column] for column in COLUMNS]


def both(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the rows of a table of Markdown: what was seen before, and now."""
    earlier = {(row["kind"], row["load"]): row for row in before}
    for row in now:
        cells = [f"{row['kind']}, {row['load']}", *map(words, (earlier[row["kind"], row["load"]], row))]
        yield f"| {' | '.join(cells)} | `make bench-overload` |"


def words(row: dict[str, Any]) -> str:
    """Return what matters of a row."""
    refused = (
        f"refused in {row['refused_p99_ms']:,.0f} ms for {max(0.0, row['refusal_of_answer']):.1%} of an answer's CPU"
    )
    return (
        f"{row['share']:.0%} of capacity, {row['cpu_in_answers']:.0%} of CPU in answers; p99 {row['p99_ms']:,.0f} ms; "
        f"{refused if row['refused'] else 'none refused'}; `/healthz` {row['healthz_p99_ms']:,.0f} ms; "
        f"well after {row['well_again_ms']:,.0f} ms; {row['resident_mb']} MB"
    )


def houses(count: int) -> Callable[[], ExampleRequest]:
    """Return what makes a request with so many houses."""

    def request() -> ExampleRequest:
        example = example_request("housing")
        (house,) = json.loads(example.body)["houses"]
        return ExampleRequest(example.path, json.dumps({"houses": [house] * count}).encode())

    return request


def films() -> ExampleRequest:
    """Return a request for the recommendations of 50 histories of 50 films."""
    history = json.loads(example_request("recommender").body)["history"]
    histories = [(history * 50)[:50] for _ in range(50)]
    return ExampleRequest("/v1/recommendations/batch", json.dumps({"histories": histories, "k": 10}).encode())


def picture() -> ExampleRequest:
    """Return a request with a photograph, which shows noise."""
    stream = BytesIO()
    Image.effect_noise(PICTURE, 64).convert("RGB").save(stream, "JPEG", quality=90)
    return upload(stream.getvalue(), "/v1/classifications")


KINDS: dict[str, tuple[str, Callable[[], ExampleRequest]]] = {
    "a house": ("housing", houses(1)),
    "200 houses": ("housing", houses(200)),
    "50 histories": ("recommender", films),
    "a picture": ("image-classifier", picture),
}
AT_MOST = {
    "p99_ms": 2000.0,
    "refused_p99_ms": 50.0,
    "refusal_of_answer": 0.1,
    "healthz_p99_ms": 100.0,
    "lost": 0.0,
    "resident_mb": 1000.0,
}
AT_LEAST = {"share": 0.9, "cpu_in_answers": 0.9}
COLUMNS = ("kind", "load", "capacity", *AT_LEAST, "p50_ms", *AT_MOST, "well_again_ms", "client_lag_p99_ms", "starved")


def measure(kind: str, project: str, bundle: Path, request: ExampleRequest, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each load of a service that is started for it."""
    with (
        service(project, bundle) as (process, port),
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        pid = process.popen.pid

        def under(load: Load) -> tuple[Seen, list[float]]:
            future = pool.submit(offer, port, pid, request, load, seconds)
            looks = []
            while not future.done():
                looks.append(look(port))
                time.sleep(0.05)
            return future.result(), looks

        before, _ = under(ALONE)
        loads = (Load("open", rate=TIMES * before.answered / before.elapsed), *CLOSED)
        seen = []
        for load in loads:
            clients, looks = under(load)
            also = {"healthz_p99_ms": ms(looks, 99), "well_again_ms": well_again(port, request)}
            seen.append((clients, also | {"resident_mb": round(resident_mb(pid))}))
        after, _ = under(ALONE)
    capacity = (before.answered + after.answered) / (before.elapsed + after.elapsed)
    cpu = (before.cpu + after.cpu) / (before.answered + after.answered)
    return [
        {"kind": kind, "load": load.name} | summary(clients, capacity, cpu) | also
        for load, (clients, also) in zip(loads, seen, strict=True)
    ]


def summary(seen: Seen, capacity: float, cpu: float) -> dict[str, Any]:
    """Return what was seen of a load, beside answers a second, and seconds of CPU for each, without it."""
    refused = seen.refused()
    spent = (seen.cpu - cpu * seen.answered) / len(refused) if refused else 0.0
    good = seen.seconds.get(HTTPStatus.OK, [])
    return {
        "capacity": round(capacity, 1),
        "answered": round(seen.answered / seen.elapsed, 1),
        "share": round(seen.answered / seen.elapsed / capacity, 2),
        "p50_ms": ms(good, 50),
        "p99_ms": ms(good, 99),
        "refused": round(len(refused) / seen.elapsed),
        "refused_p99_ms": ms(refused, 99),
        "answer_cpu_us": round(1e6 * cpu),
        "refusal_cpu_us": round(1e6 * spent),
        "refusal_of_answer": round(spent / cpu, 3),
        "cpu_in_answers": round(cpu * seen.answered / seen.cpu, 2),
        "lost": seen.lost,
        "client_lag_p99_ms": ms(seen.lags, 99),
        "starved": round(seen.starved / seen.elapsed, 2),
    }


def look(port: int) -> float:
    """Return the seconds that /healthz took, on a connection of its own."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - started


def well_again(port: int, request: ExampleRequest) -> float:
    """Return the milliseconds from the end of a load until a request is answered with 200."""
    started = time.perf_counter()
    while time.perf_counter() < started + 30:
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
        response = connection.getresponse()
        response.read()
        connection.close()
        if response.status == HTTPStatus.OK:
            break
    return round(1000 * (time.perf_counter() - started), 1)


def ms(seconds: list[float], percent: int) -> float:
    """Return a percentile in milliseconds, 0 where there is nothing."""
    if len(seconds) < 2:
        return round(1000 * sum(seconds), 1)
    return round(1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1], 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ProcessError, OSError) as error:
        sys.exit(str(error))
