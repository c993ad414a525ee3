"""What benchmarks of services share: one process that serves, a request to it, and its memory."""

import http.client
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from portfolio_shared.serving.schemas import ExampleRequest
from processes import Process, free_port, start, wait_until_ready


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


def resident_mb(pid: int) -> float:
    """Return the largest resident memory that the process has had, in millions of bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise SystemExit(f"{status} does not exist: resident memory is measured on Linux only")
    kilobytes = next(line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if "VmHWM" in line)
    return int(kilobytes) * 1024 / 1e6
