"""What a prediction costs beside a bare request: one process that serves, one client that measures.

Ratios are what to trust: the three kinds of request take turns, so whatever else the machine does falls on all of them.
"""

import argparse
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console
from rich.progress import track
from rich.table import Table

from housing.schemas import EXAMPLE
from portfolio_shared.bundle import bundle_digest, read_manifest

RESULTS = Path(__file__).parent / "results" / "housing_serving.json"
BUNDLE = Path(".state/bundles/housing")
LIMITS = {"plain_ratio": 3.0, "explained_ratio": 6.0, "ready_seconds": 3.0, "resident_mb": 250.0}
WARM_UP = 300
SECONDS_TO_START = 60.0

JSON = {"Content-Type": "application/json"}


class Timing(BaseModel):
    """Of one kind of request, microseconds; the ratio is of medians, against the bare request."""

    name: str
    median: float
    p95: float
    ratio: float


class Result(BaseModel):
    """One run of this benchmark."""

    bundle: str
    data: str
    requests: int
    python: str
    timings: list[Timing]
    measured: dict[str, float]
    limits: dict[str, float]

    @property
    def broken(self) -> list[str]:
        """Names of the limits that are broken."""
        return [name for name, limit in self.limits.items() if self.measured[name] > limit]


class Client:
    """Keeps one connection and sends whole requests, so that the client adds as little as the standard library can."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method: str, path: str, body: bytes | None = None) -> None:
        """Send one request and read its answer to the end; anything but 200 ends the benchmark."""
        self._connection.request(method, path, body, JSON if body else {})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != http.client.OK:
            raise SystemExit(f"{method} {path} answered {response.status}: {answer[:300]!r}")


def main() -> int:
    """Measure, print, write; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder of the model (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=3000, help="of each kind, after the warm-up")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file to write (default: %(default)s)")
    options = parser.parse_args()
    manifest = read_manifest(options.bundle, project="housing")
    starts = [seconds_to_ready(options.bundle) for _ in range(3)]
    with service(options.bundle) as (process, port):
        seconds = measure(port, options.requests)
        resident = resident_mb(process.pid)
    bare = statistics.median(seconds["healthz"])
    timings = [timing(name, values, bare) for name, values in seconds.items()]
    result = Result(
        bundle=bundle_digest(options.bundle)[:12],
        data=f"{manifest.data.name} ({manifest.data.source})",
        requests=options.requests,
        python=platform.python_version(),
        timings=timings,
        measured={
            "plain_ratio": ratio_of(timings, "one house"),
            "explained_ratio": ratio_of(timings, "one house, explained"),
            "ready_seconds": round(statistics.median(starts), 2),
            "resident_mb": round(resident, 1),
        },
        limits=LIMITS,
    )
    show(result)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return 1 if result.broken else 0


def measure(port: int, n_requests: int) -> dict[str, list[float]]:
    """Return the seconds of each request by kind; the kinds take turns."""
    client = Client(port)
    kinds = {
        "healthz": ("GET", "/healthz", None),
        "one house": ("POST", "/v1/predictions", prediction_body(explain=False)),
        "one house, explained": ("POST", "/v1/predictions", prediction_body(explain=True)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    rounds = range(WARM_UP + n_requests)
    for _ in track(rounds, description="asking", console=Console(stderr=True), update_period=0.5, transient=True):
        for name, request in kinds.items():
            started = time.perf_counter()
            client.ask(*request)
            seconds[name].append(time.perf_counter() - started)
    return {name: values[WARM_UP:] for name, values in seconds.items()}


def prediction_body(*, explain: bool) -> bytes:
    """Return the request of a house with its required fields only: what is left out is filled, which costs more."""
    return json.dumps({"houses": [EXAMPLE], "explain": explain}).encode()


def timing(name: str, seconds: list[float], bare: float) -> Timing:
    """Summarise one kind of request."""
    median = statistics.median(seconds)
    return Timing(
        name=name,
        median=round(1e6 * median, 1),
        p95=round(1e6 * statistics.quantiles(seconds, n=20)[-1], 1),
        ratio=round(median / bare, 2),
    )


def ratio_of(timings: list[Timing], name: str) -> float:
    """Return the ratio of the kind of this name."""
    return next(timing.ratio for timing in timings if timing.name == name)


def seconds_to_ready(bundle: Path) -> float:
    """Return the seconds from the start of the process until it can predict."""
    started = time.perf_counter()
    with service(bundle):
        return time.perf_counter() - started


@contextmanager
def service(bundle: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run `housing serve` on a free port until the block ends; wait for /readyz first."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("housing")), "serve", "--bundle", str(bundle), "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=clean_environment(os.environ), stdout=log, stderr=log)
        try:
            wait_until_ready(process, port)
            yield process, port
        finally:
            process.terminate()
            process.wait(timeout=30)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings of the service, so that its defaults are what is measured."""
    return {name: value for name, value in environment.items() if not name.startswith("HOUSING_")}


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when /readyz answers 200."""
    deadline = time.monotonic() + SECONDS_TO_START
    answer = b"no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the service ended with exit status {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            answer = response.read()
            if response.status == http.client.OK:
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.005)
    raise SystemExit(f"the service is not ready after {SECONDS_TO_START:g} s: {answer.decode()}")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resident_mb(pid: int) -> float:
    """Return the largest resident memory that the process has had, in millions of bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise SystemExit(f"{status} does not exist: resident memory is measured on Linux only")
    kilobytes = next(line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if "VmHWM" in line)
    return int(kilobytes) * 1024 / 1e6


def show(result: Result) -> None:
    """Print the table and the limits."""
    console = Console()
    requests = Table(title=f"{result.requests:,} requests of each kind, in turns, to the model {result.bundle}")
    for heading in ("request", "median, us", "95 %, us", "ratio"):
        requests.add_column(heading, justify="left" if heading == "request" else "right")
    for row in result.timings:
        requests.add_row(row.name, f"{row.median:,.0f}", f"{row.p95:,.0f}", f"{row.ratio:.2f}")
    limits = Table(title="Limits")
    for heading in ("what", "measured", "limit", ""):
        limits.add_column(heading, justify="left" if heading == "what" else "right")
    for name, limit in result.limits.items():
        limits.add_row(name, f"{result.measured[name]:g}", f"{limit:g}", "BROKEN" if name in result.broken else "kept")
    console.print(requests, limits)


if __name__ == "__main__":
    sys.exit(main())
