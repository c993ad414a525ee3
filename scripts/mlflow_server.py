"""An MLflow tracking server on this machine: SQLite for the records, a folder for the artifacts.

``python mlflow_server.py COMMAND...`` runs a command with MLflow at hand: with the server that answers, or with one
that runs as long as the command. Without a command, a server runs until Ctrl-C.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from portfolio_shared.addresses import is_here, shown, without_secrets
from portfolio_shared.proxies import NetworkSettingsError, no_proxy, split_address
from portfolio_shared.terminal import standard_streams
from portfolio_shared.tracking.client import TrackingUnavailable, check_server
from processes import HOST, Process, ProcessError, require_free, start, stop, wait_until_ready

DEFAULT_URI = "http://127.0.0.1:5500"
STATE = Path(".state/mlflow")
# What MLflow says of a database of another version that it does not upgrade by itself, as it does most.
OTHER_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+)")
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
        If the port is taken, the database is of an older MLflow, or the server ends or stays silent; the message
        carries the end of its log.
    """
    require_free(port, "choose another in MLFLOW_TRACKING_URI")
    log = state / "server.log"
    environment = os.environ | ENVIRONMENT
    with start(
        "the MLflow server", server_command(state, port), log=log, environment=environment, guarded=True
    ) as process:
        try:
            wait_until_ready(process, port, "/health", seconds=120)
        except ProcessError as error:
            if found := OTHER_SCHEMA.search(str(error)):
                raise ProcessError(advice_on_schema(state, found[1])) from error
            raise
        yield MlflowServer(f"http://{HOST}:{port}", log, process)


def server_command(state: Path, port: int) -> list[str]:
    """Return the command of a server with one worker that answers to this machine's own names alone."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", database_uri(state)),
        *("--artifacts-destination", str((state / "artifacts").resolve()), "--serve-artifacts"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", "localhost,localhost:*,127.0.0.1,127.0.0.1:*"),
        *("--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3"),
    ]


def database_uri(state: Path) -> str:
    """Return the address of the database in a server's folder."""
    return f"sqlite:///{(state / 'mlflow.db').resolve()}"


def advice_on_schema(state: Path, version: str) -> str:
    """Return what to do about a database whose schema has another version than MLflow's, in one line."""
    database = state / "mlflow.db"
    mlflow = importlib.util.find_spec("mlflow")
    if mlflow is None or mlflow.origin is None:
        raise ProcessError("MLflow is not installed: run `make setup-start`")
    if not [*(Path(mlflow.origin).parent / "store/db_migrations/versions").glob(f"{version}_*")]:
        return f"{database} is of a newer MLflow than {sys.executable} has: go on with that one, or move the file away"
    command = shlex.join([sys.executable, "-m", "mlflow", "db", "upgrade", database_uri(state)])
    return f"{database} is of an older MLflow: keep a copy of it, then run: {command}"


def local_port(uri: str) -> int:
    """Return the port of an address where a server can be started: on this machine only."""
    try:
        address = split_address(uri)
    except NetworkSettingsError as error:
        raise ProcessError(f"MLFLOW_TRACKING_URI: {error}") from error
    if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise ProcessError(f"MLFLOW_TRACKING_URI={shown(uri)}: a server can be started on http://127.0.0.1:PORT only")
    return address.port


def main(command: list[str]) -> int:
    """Run the command, or the server alone; return the command's exit status."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    os.environ.update(no_proxy(uri))
    with nullcontext() if answers(uri) else running_server(state=STATE, port=local_port(uri)) as server:
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow: {shown(uri)} ({'Ctrl-C stops it' if server else 'it runs already'})")
        return server.process.popen.wait() if server else 0


def answers(uri: str) -> bool:
    """Return whether an MLflow server answers at this address; raise `ProcessError` if none does on another machine."""
    try:
        check_server(uri)
    except TrackingUnavailable as error:
        if is_here(split_address(uri).hostname or ""):
            return False
        raise ProcessError(f"MLFLOW_TRACKING_URI={shown(uri)}: {error}") from error
    return True


if __name__ == "__main__":
    with standard_streams():
        try:
            sys.exit(main(sys.argv[1:]))
        except ProcessError as error:
            sys.exit(f"MLflow does not run: {without_secrets(str(error))}")
        except NetworkSettingsError as error:
            sys.exit(f"MLflow does not run: MLFLOW_TRACKING_URI: {error}")
        except KeyboardInterrupt:
            sys.exit(0)
