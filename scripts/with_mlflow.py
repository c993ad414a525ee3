"""Run a command with MLflow at hand: use the server that answers, or start one for as long as the command runs.

Without a command: run the server until Ctrl-C.
"""

import os
import subprocess
import sys

import httpx

from mlflow_server import DEFAULT_URI, STATE, local_port, running_server
from processes import ProcessError


def main(command: list[str]) -> int:
    """Return the command's exit status, or 0 after Ctrl-C where there is none."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_URI)
    if answers(uri):
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow runs already: {uri}")
        return 0
    with running_server(state=STATE, port=local_port(uri)) as server:
        if command:
            return subprocess.run(command, check=False).returncode
        print(f"MLflow: {server.uri} (Ctrl-C stops it)")
        return server.process.popen.wait()


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
