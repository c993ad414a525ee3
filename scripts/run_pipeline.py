"""Every project's steps on a schedule, with a page, on this machine: Dagster, and MLflow if none runs, until Ctrl-C.

Dagster has an environment of its own, `.state/pipeline`, and its state in `.state/dagster`. deploy/pipeline has what it
runs; docs/pipeline.md says what it shows.
"""

import argparse
import os
import runpy
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from mlflow_server import DEFAULT_URI, STATE, answers, local_port, running_server
from portfolio_shared.addresses import shown, without_secrets
from portfolio_shared.proxies import no_proxy
from portfolio_shared.terminal import standard_streams
from processes import HOST, Process, ProcessError, free_port, require_free, start, stop, wait_until_ready

ROOT = Path(__file__).resolve().parents[1]
DEFINITIONS = ROOT / "deploy/pipeline"
DAGSTER = ROOT / ".state/pipeline/bin"
HOME = Path(".state/dagster")
LOGS = Path(".state/logs")
TRACKING_URI = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
START_SECONDS = 180.0


def main() -> int:
    """Read the command line, run everything; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="auto", help="auto, sample, full or a path (default: %(default)s)")
    parser.add_argument("--port", type=port_of, default=os.environ.get("PIPELINE_PORT") or "3001", help="of the page")
    options = parser.parse_args()
    try:
        run(options.data, options.port)
    except ProcessError as error:
        print(f"Not started: {without_secrets(str(error))}", file=sys.stderr)
        return 1
    print("Stopped.")
    return 0


def port_of(text: str) -> int:
    """Read a port, or raise ValueError."""
    if not 0 < int(text) < 2**16:
        raise ValueError
    return int(text)


def run(data: str, port: int) -> None:
    """Start everything, wait for a signal, stop everything; raise `ProcessError` if a part of it ends before."""
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: end.set())
    os.environ.update(no_proxy(TRACKING_URI))
    require_free(port, "set PIPELINE_PORT")
    running: list[Process] = []
    told = environment(data, free_port())
    mlflow = nullcontext() if answers(TRACKING_URI) else running_server(state=STATE, port=local_port(TRACKING_URI))
    with alone(), mlflow as server:
        try:
            running += [server.process] if server else []
            start_all(running, told, port, end)
            if not end.is_set():
                print(
                    f"The pipeline: http://{HOST}:{port}   MLflow: {shown(TRACKING_URI)}   logs: {LOGS}/pipeline-*.log"
                )
                print("Ctrl-C stops both, and the run that is in progress.", flush=True)
            while not end.wait(0.5):
                for process in running:
                    process.require_running()
        finally:
            stop(*(process for process in running if server is None or process is not server.process))


def environment(data: str, runner_port: int) -> dict[str, str]:
    """Return what the processes are told, or raise `ProcessError` where the pipeline would not take it."""
    given = os.environ | {
        "DAGSTER_HOME": str(HOME.resolve()),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_TRACKING_URI": TRACKING_URI,
        "PIPELINE_COMMANDS": os.environ.get("PIPELINE_COMMANDS") or str(Path(sys.executable).parent),
        "PIPELINE_DATA": data,
        "PIPELINE_FOLDER": str(Path.cwd()),
        "PIPELINE_RUNNER_HOST": HOST,
        "PIPELINE_RUNNER_PORT": str(runner_port),
        "PIPELINE_STATE": str(HOME.resolve()),
        "PYTHONPATH": str(ROOT / "scripts"),
    }
    try:
        runpy.run_path(str(DEFINITIONS / "settings.py"))["read_settings"](given)
    except ValueError as error:
        raise ProcessError(str(error)) from None
    return given


@contextmanager
def alone() -> Iterator[None]:
    """Keep others from running the pipeline of this folder; its settings are put where Dagster looks for them."""
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(HOME / ".lock", timeout=0):
            shutil.copy(DEFINITIONS / "dagster.yaml", HOME)
            yield
    except Timeout:
        raise ProcessError("another `make pipeline` runs in this folder: stop that one first") from None


def start_all(running: list[Process], given: Mapping[str, str], port: int, end: threading.Event) -> None:
    """Start the runner, then the daemon and the page, which ask it; each is added to `running` as soon as it runs.

    They are three processes and not `dagster dev`, which leaves its own behind when it is told to end.
    """

    def begin(name: str, *command: str) -> Process:
        program, *arguments = command
        log = LOGS / f"pipeline-{name}.log"
        process = start(
            f"the pipeline's {name}", [DAGSTER / program, *arguments], log=log, environment=given, guarded=True
        )
        running.append(process)
        return process

    workspace = ("--workspace", str(DEFINITIONS / "workspace.yaml"))
    code = ("--python-file", str(DEFINITIONS / "definitions.py"), "--working-directory", str(DEFINITIONS))
    runner_port = given["PIPELINE_RUNNER_PORT"]
    runner = begin("runner", "python", str(DEFINITIONS / "runner.py"), *code, "--host", HOST, "--port", runner_port)
    wait_for_port(runner, int(runner_port), end)
    if not end.is_set():
        begin("daemon", "dagster-daemon", "run", *workspace)
        served = ("--host", HOST, "--port", str(port), *workspace)
        page = begin("page", "python", str(DEFINITIONS / "page.py"), *served)
        wait_until_ready(page, port, "/server_info", seconds=START_SECONDS, interval=0.5, cancelled=end)


def wait_for_port(process: Process, port: int, end: threading.Event) -> None:
    """Return when something listens on the port; `ProcessError` if the process ends before, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not end.is_set():
        process.require_running()
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if time.monotonic() > deadline:
            raise ProcessError(f"{process.name} does not listen after {START_SECONDS:g} s. {process.log_end()}")
        end.wait(0.2)


if __name__ == "__main__":
    with standard_streams():
        sys.exit(main())
