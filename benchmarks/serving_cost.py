"""What benchmarks of services share: one process that serves, a request to it, and its memory."""

import http.client
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.stats import t

from portfolio_shared.evaluation.uncertainty import HIGH, Interval
from portfolio_shared.serving.schemas import ExampleRequest
from processes import Process, free_port, get, start, wait_until_ready


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


@contextmanager
def service(
    project: str, bundle: Path | None, *, program: Sequence[str | Path] = (), **variables: str
) -> Iterator[tuple[Process, int]]:
    """Run `<project> serve`, or another program with its arguments, on a free port until the block ends.

    It is ready to predict when the block begins.

    It serves the bundle, or without one what the registry has that the variables name.

    Its prediction log is a file that goes with it, where the variables of its environment say nothing else.
    """
    port = free_port()
    served = [] if bundle is None else ["--bundle", str(bundle)]
    started = program or [Path(sys.executable).with_name(project)]
    command = [*map(str, started), "serve", *served, "--port", str(port)]
    prefix = f"{project.upper().replace('-', '_')}_"
    # Without settings of the service, so that its defaults are what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"PORTFOLIO_PREDICTION_LOG": f"sqlite:///{folder}/log.db"} | variables
        log = Path(folder) / "log"
        with start(f"the {project} service", command, log=log, environment=environment) as process:
            wait_until_ready(process, port, interval=0.005)
            yield process, port


def ratio(each: Sequence[float]) -> Interval:
    """Return the geometric mean of ratios, each of processes of its own, and its 95 % interval by Student's t."""
    logs = np.log(each)
    mean, half = float(logs.mean()), float(t.ppf(HIGH, len(logs) - 1) * logs.std(ddof=1)) / math.sqrt(len(logs))
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def counted(port: int, metric: str) -> dict[str, int]:
    """Return a counter of a service by outcome."""
    text = get(port, "/metrics")[1]
    pattern = rf'^{metric}{{outcome="(\w+)"}} (\S+)'
    return {outcome: int(float(count)) for outcome, count in re.findall(pattern, text, re.MULTILINE)}


def ratio_cell(interval: Sequence[float]) -> str:
    """Write a ratio and its interval."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*interval)


def verdict(interval: Sequence[float], limit: float) -> str:
    """Say whether a limit on a ratio is kept: by the estimate, and by all that its interval does not rule out."""
    estimate, _, high = interval
    kept = "kept" if high <= limit else "by the estimate" if estimate <= limit else "**missed**"
    return f"{limit - 1:.0%}: {kept}".replace("%", " %")


def resident_mb(pid: int) -> float:
    """Return the largest resident memory that the process has had, in millions of bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise SystemExit(f"{status} does not exist: resident memory is measured on Linux only")
    kilobytes = next(line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if "VmHWM" in line)
    return int(kilobytes) * 1024 / 1e6
