"""Run a command with MLflow at hand: use the server that answers, or start one for as long as the command runs.

Without a command: run the server until Ctrl-C.
"""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from portfolio_shared.tracking.server import ServerError, running_server

STATE = Path(".state/mlflow")
DEFAULT_URI = "http://127.0.0.1:5500"


def main(command: list[str]) -> int:
    """Return the command's exit status, or 0 after Ctrl-C where there is none."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    if answers(uri):
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow runs already: {uri}")
        return 0
    address = urlsplit(uri)
    if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        print(f"MLFLOW_TRACKING_URI={uri} does not answer, and a server can be started on http://127.0.0.1:PORT only")
        return 1
    with running_server(state=STATE, port=address.port) as server:
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow: {server.uri} (Ctrl-C stops it)")
        return server.process.wait()


def answers(uri: str) -> bool:
    """Return whether an MLflow server answers at this address."""
    try:
        return httpx.get(f"{uri}/health", timeout=2.0).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ServerError as error:
        sys.exit(f"MLflow did not start: {error}")
    except KeyboardInterrupt:
        sys.exit(0)
