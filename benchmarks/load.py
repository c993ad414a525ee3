"""What the services in containers do under load: many clients at once, for two rounds of a minute each.

It asks the stack that is up (`make compose-up`), one service after the other. Every client sends its next request as
soon as it has an answer, a 429 included, which is more than `Retry-After` asks of it. Status 1 if anything but 200 and
429 was answered, if a container was started again, or if its memory grew after the first round. Writes
benchmarks/results/load.json if all services were asked.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from itertools import cycle, islice
from typing import Any

from PIL import Image
from pydantic import BaseModel
from record import RESULTS
from rich.console import Console
from rich.table import Table
from serving_cost import upload

from compose_stack import example_request, key_header
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import ProcessError, output_of
from project_table import projects

ROUNDS = 2
GOOD = {"200", "429"}
GROWTH = 0.02
"""Share of the memory limit by which the memory may differ between the rounds' ends, without being growth."""
UNITS = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
PICTURE = (500, 375)
PHONE = (4000, 3000)


class Round(BaseModel):
    """What a round of load came to: answers by status or kind of failure, milliseconds of the good ones, memory."""

    answers: dict[str, int]
    a_second: float
    median_ms: float
    p95_ms: float
    memory_mb: float


class Outcome(BaseModel):
    """What the load did to one service."""

    service: str
    rounds: list[Round]
    restarts: int
    limit_mb: float
    load_average: float

    @property
    def faults(self) -> list[str]:
        """Return what must not be, in words."""
        faults = []
        for i, row in enumerate(self.rounds, start=1):
            if bad := {status: count for status, count in row.answers.items() if status not in GOOD}:
                faults.append(f"{self.service}, round {i}: {bad}")
            if not row.answers.get("200"):
                faults.append(f"{self.service}, round {i}: no answer of 200")
        if self.restarts:
            faults.append(f"{self.service} was started again {self.restarts} times")
        growth = self.rounds[-1].memory_mb - self.rounds[0].memory_mb
        if growth > GROWTH * self.limit_mb:
            faults.append(f"the memory of {self.service} grew by {growth:.1f} MB after the first round")
        return faults


def main() -> int:
    """Load each service, print, write; return 1 if one did what it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", metavar="service", help="services of the stack (default: all)")
    parser.add_argument("--clients", type=int, default=50, help="at the same time (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a round (default: %(default)g)")
    options = parser.parse_args()
    requests = kinds()
    if unknown := set(options.services) - set(requests):
        parser.error(f"unknown services {sorted(unknown)}; there are {', '.join(requests)}")
    console = Console()
    outcomes = []
    for service in options.services or requests:
        with console.status(f"{options.clients} clients ask {service}"):
            outcomes.append(load(service, requests[service], clients=options.clients, seconds=options.seconds))
    console.print(table(outcomes, options.clients, options.seconds))
    recorded = {"clients": options.clients, "seconds": options.seconds, "cores": os.cpu_count()}
    rows = [outcome.model_dump() for outcome in outcomes]
    if not options.services:
        (RESULTS / "load.json").write_text(
            json.dumps({**recorded, "services": rows}, indent=2) + "\n", encoding="utf-8"
        )
        console.print(f"Written: {RESULTS / 'load.json'}")
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    for fault in faults:
        console.print(f"FAULT  {fault}")
    return bool(faults)


def kinds() -> dict[str, list[ExampleRequest]]:
    """Return what each service is asked, in turns: its example, or what costs more where that has been written."""
    examples = {project.name: [example_request(project.name)] for project in projects()}
    (house,) = examples["housing"]
    explained = replace(house, body=json.dumps(json.loads(house.body) | {"explain": True}).encode())
    path, phone = "/v1/classifications?heat=true", photograph(PHONE)
    pictures = [*[upload(photograph(PICTURE), path)] * 16, *[upload(phone, path)] * 3, upload(phone, path, copies=8)]
    return examples | {"housing": [explained], "image-classifier": pictures}


def photograph(size: tuple[int, int]) -> bytes:
    """Return a JPEG file of this size, which shows noise."""
    stream = BytesIO()
    Image.effect_noise(PICTURE, 64).resize(size).convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def load(service: str, requests: list[ExampleRequest], *, clients: int, seconds: float) -> Outcome:
    """Let clients ask a service for two rounds."""
    before = inspect(service)
    host, _, port = output_of("docker", "compose", "port", service, "8000").strip().rpartition(":")
    rounds = [measure_round(service, (host, int(port)), requests, clients, seconds) for _ in range(ROUNDS)]
    after = inspect(service)
    again = after["RestartCount"] - before["RestartCount"] + (after["Id"] != before["Id"])
    return Outcome(
        service=service,
        rounds=rounds,
        restarts=again,
        limit_mb=before["HostConfig"]["Memory"] / UNITS["MiB"],
        load_average=os.getloadavg()[0],
    )


def measure_round(
    service: str, address: tuple[str, int], requests: list[ExampleRequest], clients: int, seconds: float
) -> Round:
    """Let clients ask for some seconds; the memory is measured while they still do."""
    end = threading.Event()
    with ThreadPoolExecutor(clients) as pool:
        started = time.monotonic()
        asking = [pool.submit(ask, address, requests, first, end) for first in range(clients)]
        try:
            time.sleep(max(0.0, seconds - 2))
            memory = memory_mb(service)
            time.sleep(max(0.0, started + seconds - time.monotonic()))
        finally:
            end.set()
        answered = [answer for future in asking for answer in future.result()]
    answers = Counter(status for status, _ in answered)
    times = sorted(1000 * seconds for status, seconds in answered if status == "200") or [0.0]
    return Round(
        answers=dict(sorted(answers.items())),
        a_second=round(answers["200"] / (time.monotonic() - started), 1),
        median_ms=round(statistics.median(times), 1),
        p95_ms=round(times[int(0.95 * (len(times) - 1))], 1),
        memory_mb=memory,
    )


def ask(
    address: tuple[str, int], requests: list[ExampleRequest], first: int, end: threading.Event
) -> list[tuple[str, float]]:
    """Be one client, which starts at one of the requests; return status or kind of failure of each, and its seconds."""
    answers = []
    key = key_header()
    connection = http.client.HTTPConnection(*address, timeout=60)
    for request in islice(cycle(requests), first, None):
        if end.is_set():
            break
        started = time.perf_counter()
        try:
            connection.request("POST", request.path, request.body, {"Content-Type": request.content_type} | key)
            response = connection.getresponse()
            response.read()
            status = str(response.status)
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
            connection.close()
        answers.append((status, time.perf_counter() - started))
    connection.close()
    return answers


def memory_mb(service: str) -> float:
    """Return the memory that counts toward a container's limit, without the files that the kernel could drop."""
    name = inspect(service)["Id"]
    used = output_of("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", name).split("/")[0].strip()
    unit = next(unit for unit in sorted(UNITS, key=len, reverse=True) if used.endswith(unit))
    return float(used.removesuffix(unit)) * UNITS[unit] / UNITS["MiB"]


def inspect(service: str) -> dict[str, Any]:
    """Return what the engine knows of a service's container."""
    name = output_of("docker", "compose", "ps", "--quiet", service).strip()
    if not name:
        raise ProcessError(f"{service} does not run: `make compose-up` starts it")
    container: dict[str, Any] = json.loads(output_of("docker", "inspect", name))[0]
    return container


def table(outcomes: list[Outcome], clients: int, seconds: float) -> Table:
    """Return a row for each round."""
    headings = ["service", "answers", "200 a second", "median, ms", "95 %, ms", "memory, MB", "restarts"]
    rows = []
    for outcome in outcomes:
        for row in outcome.rounds:
            answers = ", ".join(f"{status}: {count:,}" for status, count in row.answers.items())
            times = (f"{row.a_second:,.0f}", f"{row.median_ms:,.0f}", f"{row.p95_ms:,.0f}")
            memory = f"{row.memory_mb:.0f} of {outcome.limit_mb:.0f}"
            rows.append([outcome.service, answers, *times, memory, str(outcome.restarts)])
    return terminal_table(f"{clients} clients, {ROUNDS} rounds of {seconds:g} s", headings, rows)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ProcessError, OSError) as error:
        sys.exit(str(error))
