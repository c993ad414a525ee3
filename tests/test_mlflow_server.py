"""The MLflow server starts with what it needs and nothing more; scripts/mlflow_server.py lends it to a command."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import mlflow_server as module
from mlflow_server import MlflowServer
from processes import free_port

pytestmark = pytest.mark.slow

ASK_HEALTH = (
    "import os, sys, httpx;"
    "sys.exit(7 if httpx.get(os.environ['MLFLOW_TRACKING_URI'] + '/health', trust_env=False).is_success else 1)"
)


def test_only_known_names_reach_the_server(running_mlflow: MlflowServer) -> None:
    port = httpx.URL(running_mlflow.uri).port
    url = f"{running_mlflow.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    for host, status in {f"localhost:{port}": 200, "127.0.0.1": 200, "mlflow.example.org": 403}.items():
        assert httpx.get(url, headers={"Host": host}).status_code == status, host


def test_no_job_runners_are_started(running_mlflow: MlflowServer) -> None:
    listed = subprocess.run(["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines()]
    children = [line for line in lines if line[0] == str(running_mlflow.process.popen.pid)]
    assert len(children) == 1
    grandchildren = [line for line in lines if line[0] == children[0][1]]
    assert len(grandchildren) == 1  # uvicorn with one worker is one process
    assert "uvicorn" in grandchildren[0][2]


def with_mlflow(folder: Path, uri: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, module.__file__, *command],
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_running_mlflow_is_used_and_left_running(tmp_path: Path, mlflow_server: str) -> None:
    result = with_mlflow(tmp_path, mlflow_server, sys.executable, "-c", ASK_HEALTH)

    assert result.returncode == 7, result.stderr
    assert not (tmp_path / ".state").exists()
    assert httpx.get(f"{mlflow_server}/health", trust_env=False).is_success


@pytest.mark.long
def test_without_one_it_is_started_and_stopped_with_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    uri = f"http://127.0.0.1:{free_port()}"

    result = with_mlflow(folder, uri, sys.executable, "-c", ASK_HEALTH)

    assert result.returncode == 7, result.stderr
    assert (folder / ".state" / "mlflow" / "mlflow.db").is_file()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{uri}/health", trust_env=False)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in listed


@pytest.mark.parametrize("uri", ["http://mlflow.invalid:5500", "https://127.0.0.1:1", "http://127.0.0.1"])
def test_a_server_that_neither_answers_nor_can_be_started_is_an_error(tmp_path: Path, uri: str) -> None:
    result = with_mlflow(tmp_path, uri, "true")

    assert result.returncode == 1
    assert f"MLFLOW_TRACKING_URI={uri}" in result.stderr
