"""An MLflow tracking server on this machine: SQLite for the records, a folder for the artifacts."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

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
def running_server(*, state: Path, port: int, seconds: float = 120.0) -> Iterator[MlflowServer]:
    """Run a server for the length of a ``with`` block; it ends with this process, however that ends.

    Parameters
    ----------
    state : Path
        Folder of the database, the artifacts and the log (`server.log`); made if missing.
    port : int
        A free port of this machine.
    seconds : float
        How long to wait for the first answer.

    Raises
    ------
    ProcessError
        If the port is taken, or the server ends or stays silent; the message carries the end of its log.
    """
    require_free(port, "choose another in MLFLOW_TRACKING_URI")
    log = state / "server.log"
    environment = os.environ | ENVIRONMENT
    with start("the MLflow server", command(state, port), log=log, environment=environment, guarded=True) as process:
        wait_until_ready(process, port, "/health", seconds=seconds)
        yield MlflowServer(f"http://{HOST}:{port}", log, process)


def command(state: Path, port: int) -> list[str]:
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
