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
from typing import Any

from record import RESULTS, check_limits, finish
from rich.console import Console
from rich.progress import track

from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST, Process, free_port, start, wait_until_ready

BARE = "healthz"
WARM_UP = 300


Kinds = Mapping[str, ExampleRequest | Callable[[], object]]
"""What takes turns, by name: requests, and functions that are called in the process of the benchmark."""


def upload(photo: bytes, path: str, *, copies: int = 1) -> ExampleRequest:
    """Return the request that a browser sends with JPEG files."""
    head = '--benchmark\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
    part = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + photo + b"\r\n"
    return ExampleRequest(path, part * copies + b"--benchmark--\r\n", "multipart/form-data; boundary=benchmark")


def ask(connection: http.client.HTTPConnection, request: ExampleRequest) -> None:
    """Send a POST, or a GET where there is no body, and read the answer; anything but 200 ends the benchmark."""
    method, headers = ("POST", {"Content-Type": request.content_type}) if request.body else ("GET", {})
    connection.request(method, request.path, request.body or None, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise SystemExit(f"{method} {request.path} answered {response.status}: {answer[:300]!r}")


def run(
    project: str,
    about: str | None,
    requests: Callable[[Path], Kinds],
    *,
    ratios: dict[str, str],
    limits: dict[str, float],
    bare: str = BARE,
) -> int:
    """Measure a project's service, print, write `results/<project>_serving.json`; return 1 if a limit is broken.

    Parameters
    ----------
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
    """
    options = parse_options(project, about)
    if not options.bundle.is_dir():
        sys.exit(f"{options.bundle} does not exist: `DATASET=full make train-{project}` makes it")
    manifest = read_manifest(options.bundle, project=project)
    starts = [seconds_to_ready(project, options.bundle) for _ in range(3)]
    with service(project, options.bundle) as (process, port):
        kinds = {BARE: ExampleRequest("/healthz", b""), **requests(options.bundle)}
        seconds = measure(port, kinds, options.requests)
        resident = resident_mb(process.popen.pid)
    base = statistics.median(seconds[bare])
    timings = [timing(name, values, base) for name, values in seconds.items()]
    ratio = {row["name"]: row["ratio"] for row in timings}
    measured = {name: ratio[kind] for name, kind in ratios.items()}
    measured |= {"ready_seconds": round(statistics.median(starts), 2), "resident_mb": round(resident, 1)}
    recorded = {
        "bundle": bundle_digest(options.bundle)[:12],
        "data": f"{manifest.data.name} ({manifest.data.source})",
        "requests": options.requests,
        "python": platform.python_version(),
        "timings": timings,
        "measured": measured,
        "limits": limits,
    }
    console = Console()
    rows = [[row["name"], f"{row['median']:,.0f}", f"{row['p95']:,.0f}", f"{row['ratio']:.2f}"] for row in timings]
    title = f"{options.requests:,} requests of each kind, in turns, to the model {recorded['bundle']}"
    console.print(terminal_table(title, ["request", "median, us", "95 %, us", "ratio"], rows))
    return finish(console, options.output, recorded, check_limits(measured, limits))


def parse_options(project: str, about: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=about)
    bundle, output = Path(".state/bundles") / project, RESULTS / f"{project}_serving.json"
    parser.add_argument("--bundle", type=Path, default=bundle, help="folder of the model (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=3000, help="of each kind, after the warm-up")
    parser.add_argument("--output", type=Path, default=output, help="file to write (default: %(default)s)")
    return parser.parse_args()


def measure(port: int, kinds: Kinds, n_requests: int) -> dict[str, list[float]]:
    """Return the seconds of each request by kind; the kinds take turns."""
    # One connection, and whole requests, so that the client adds as little as the standard library can.
    send = partial(ask, http.client.HTTPConnection(HOST, port, timeout=30))
    actions = {name: partial(send, kind) if isinstance(kind, ExampleRequest) else kind for name, kind in kinds.items()}
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    rounds = range(WARM_UP + n_requests)
    for _ in track(rounds, description="asking", console=Console(stderr=True), update_period=0.5, transient=True):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - started)
    return {name: values[WARM_UP:] for name, values in seconds.items()}


def timing(name: str, seconds: list[float], bare: float) -> dict[str, Any]:
    """Summarise one kind of request: microseconds, and the ratio of its median to the bare one, which is in seconds."""
    median = statistics.median(seconds)
    p95 = statistics.quantiles(seconds, n=20)[-1]
    return {
        "name": name,
        "median": round(1e6 * median, 1),
        "p95": round(1e6 * p95, 1),
        "ratio": round(median / bare, 2),
    }


def seconds_to_ready(project: str, bundle: Path) -> float:
    """Return the seconds from the start of the process until it can predict."""
    started = time.perf_counter()
    with service(project, bundle):
        return time.perf_counter() - started


@contextmanager
def service(project: str, bundle: Path | None, **variables: str) -> Iterator[tuple[Process, int]]:
    """Run `<project> serve` on a free port until the block ends; wait for /readyz first.

    It serves the bundle, or without one what the registry has that the variables name.

    Its prediction log is a file that goes with it, where the variables of its environment say nothing else.
    """
    port = free_port()
    served = [] if bundle is None else ["--bundle", str(bundle)]
    command = [str(Path(sys.executable).with_name(project)), "serve", *served, "--port", str(port)]
    prefix = f"{project.upper().replace('-', '_')}_"
    # Without settings of the service, so that its defaults are what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"PORTFOLIO_PREDICTION_LOG": f"sqlite:///{folder}/log.db"} | variables
        log = Path(folder) / "log"
        with start(f"the {project} service", command, log=log, environment=environment) as process:
            wait_until_ready(process, port, interval=0.005)
            yield process, port


def resident_mb(pid: int) -> float:
    """Return the largest resident memory that the process has had, in millions of bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise SystemExit(f"{status} does not exist: resident memory is measured on Linux only")
    kilobytes = next(line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if "VmHWM" in line)
    return int(kilobytes) * 1024 / 1e6
