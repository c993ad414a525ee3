"""What a request costs beside a bare one: one process that serves, one client that measures.

Ratios are what to trust: the kinds of request take turns, so whatever else the machine does falls on all of them.
"""

import argparse
import http.client
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel
from rich.console import Console
from rich.progress import track
from rich.table import Table

from portfolio_shared.bundle import bundle_digest, read_manifest
from processes import Process, free_port, start, wait_until_ready

RESULTS = Path(__file__).parent / "results"
BARE = "healthz"
WARM_UP = 300


class Request(NamedTuple):
    """One request: method, path, and a body if it has one."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"


Kinds = Mapping[str, Request | Callable[[], object]]
"""What takes turns, by name: requests, and functions that are called in the process of the benchmark."""


class Timing(BaseModel):
    """Of one kind of request, microseconds; the ratio is of medians, against the bare kind."""

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

    def ask(self, request: Request) -> None:
        """Send one request and read its answer to the end; anything but 200 ends the benchmark."""
        headers = {"Content-Type": request.content_type} if request.body else {}
        self._connection.request(request.method, request.path, request.body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != http.client.OK:
            raise SystemExit(f"{request.method} {request.path} answered {response.status}: {answer[:300]!r}")


def run(
    project: str,
    *,
    about: str,
    requests: Callable[[Path], Kinds],
    ratios: dict[str, str],
    limits: dict[str, float],
    bare: str = BARE,
) -> int:
    """Measure a project's service, print, and write to `results/<project>_serving.json`.

    Parameters
    ----------
    project
        Its name, which is that of its command as well.
    about
        Of the command line, for its help.
    requests
        Makes the kinds of request by name, from the folder of the model.
    ratios
        Names of measurements, and of the kind whose ratio each is.
    limits
        Largest values of those, of `ready_seconds` and of `resident_mb`.
    bare
        The kind that the others are compared with: the request that does nothing, or one of `requests`.

    Returns
    -------
    The exit status: 1 if a limit is broken.
    """
    options = parse_options(project, about)
    if not options.bundle.is_dir():
        sys.exit(f"{options.bundle} does not exist: `DATASET=full make train-{project}` makes it")
    manifest = read_manifest(options.bundle, project=project)
    starts = [seconds_to_ready(project, options.bundle) for _ in range(3)]
    with service(project, options.bundle) as (process, port):
        seconds = measure(port, {BARE: Request("GET", "/healthz"), **requests(options.bundle)}, options.requests)
        resident = resident_mb(process.popen.pid)
    base = statistics.median(seconds[bare])
    timings = [timing(name, values, base) for name, values in seconds.items()]
    ratio = {timing.name: timing.ratio for timing in timings}
    result = Result(
        bundle=bundle_digest(options.bundle)[:12],
        data=f"{manifest.data.name} ({manifest.data.source})",
        requests=options.requests,
        python=platform.python_version(),
        timings=timings,
        measured={name: ratio[kind] for name, kind in ratios.items()}
        | {"ready_seconds": round(statistics.median(starts), 2), "resident_mb": round(resident, 1)},
        limits=limits,
    )
    show(result)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return 1 if result.broken else 0


def parse_options(project: str, about: str) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=about)
    bundle, output = Path(".state/bundles") / project, RESULTS / f"{project}_serving.json"
    parser.add_argument("--bundle", type=Path, default=bundle, help="folder of the model (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=3000, help="of each kind, after the warm-up")
    parser.add_argument("--output", type=Path, default=output, help="file to write (default: %(default)s)")
    return parser.parse_args()


def measure(port: int, kinds: Kinds, n_requests: int) -> dict[str, list[float]]:
    """Return the seconds of each request by kind; the kinds take turns."""
    client = Client(port)
    actions = {name: partial(client.ask, kind) if isinstance(kind, Request) else kind for name, kind in kinds.items()}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    rounds = range(WARM_UP + n_requests)
    for _ in track(rounds, description="asking", console=Console(stderr=True), update_period=0.5, transient=True):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - started)
    return {name: values[WARM_UP:] for name, values in seconds.items()}


def timing(name: str, seconds: list[float], bare: float) -> Timing:
    """Summarise one kind of request."""
    median = statistics.median(seconds)
    return Timing(
        name=name,
        median=round(1e6 * median, 1),
        p95=round(1e6 * statistics.quantiles(seconds, n=20)[-1], 1),
        ratio=round(median / bare, 2),
    )


def seconds_to_ready(project: str, bundle: Path) -> float:
    """Return the seconds from the start of the process until it can predict."""
    started = time.perf_counter()
    with service(project, bundle):
        return time.perf_counter() - started


@contextmanager
def service(project: str, bundle: Path) -> Iterator[tuple[Process, int]]:
    """Run `<project> serve` on a free port until the block ends; wait for /readyz first."""
    port = free_port()
    command = [str(Path(sys.executable).with_name(project)), "serve", "--bundle", str(bundle), "--port", str(port)]
    environment = clean_environment(project, os.environ)
    with (
        tempfile.TemporaryDirectory() as folder,
        start(f"the {project} service", command, log=Path(folder) / "log", environment=environment) as process,
    ):
        wait_until_ready(process, port, interval=0.005)
        yield process, port


def clean_environment(project: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings of the service, so that its defaults are what is measured."""
    prefix = f"{project.upper().replace('-', '_')}_"
    return {name: value for name, value in environment.items() if not name.startswith(prefix)}


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
