"""An MLflow tracking server on this machine: SQLite for the records, a folder for the artifacts.

``python mlflow_server.py COMMAND...`` runs a command with MLflow at hand: with the server that answers, or with one
that runs as long as the command. Without a command, a server runs until Ctrl-C.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from processes import HOST, Process, ProcessError, require_free, start, stop, wait_until_ready

DEFAULT_URI = "http://127.0.0.1:5500"
STATE = Path(".state/mlflow")
# MLflow starts a job runner and six queue consumers for its GenAI features by default: seven more processes, which
# nothing here uses. Telemetry sends usage data to the makers of MLflow.
ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",  # deprecations inside MLflow are nothing a reader of this log can act on
}


@dataclass(frozen=True)
class MlflowServer:
    """A running server: its address, its log beside its files, and the process that guards it."""

    uri: str
    log: Path
    process: Process

    def stop(self) -> None:
        """Stop the server and everything it started; does nothing if it has stopped already."""
        stop(self.process)


@contextmanager
def running_server(*, state: Path, port: int) -> Iterator[MlflowServer]:
    """Run a server for the length of a ``with`` block; it ends with this process, however that ends.

    Parameters
    ----------
    state : Path
        Folder of the database, the artifacts and the log (`server.log`); made if missing.

    Raises
    ------
    ProcessError
        If the port is taken, or the server ends or stays silent; the message carries the end of its log.
    """
    require_free(port, "choose another in MLFLOW_TRACKING_URI")
    log = state / "server.log"
    environment = os.environ | ENVIRONMENT
    with start(
        "the MLflow server", server_command(state, port), log=log, environment=environment, guarded=True
    ) as process:
        wait_until_ready(process, port, "/health", seconds=120)
        yield MlflowServer(f"http://{HOST}:{port}", log, process)


def server_command(state: Path, port: int) -> list[str]:
    """Return the command of a server with one worker that answers to this machine's own names alone."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{(state / 'mlflow.db').resolve()}"),
        *("--artifacts-destination", str((state / "artifacts").resolve()), "--serve-artifacts"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", "localhost,localhost:*,127.0.0.1,127.0.0.1:*"),
        *("--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3"),
    ]


def local_port(uri: str) -> int:
    """Return the port of an address where a server can be started: on this machine only."""
    address = urlsplit(uri)
    if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise ProcessError(f"MLFLOW_TRACKING_URI={uri}: a server can be started on http://127.0.0.1:PORT only")
    return address.port


def main(command: list[str]) -> int:
    """Run the command, or the server alone; return the command's exit status."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    with nullcontext() if answers(uri) else running_server(state=STATE, port=local_port(uri)) as server:
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow: {uri} ({'Ctrl-C stops it' if server else 'it runs already'})")
        return server.process.popen.wait() if server else 0


def answers(uri: str) -> bool:
    """Return whether an MLflow server answers at this address, which may be on another machine."""
    try:
        return httpx.get(f"{uri}/health", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ProcessError as error:
        sys.exit(f"MLflow does not run: {error}")
    except KeyboardInterrupt:
        sys.exit(0)
