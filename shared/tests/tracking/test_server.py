"""The MLflow server starts with what it needs, says why it does not, and leaves no process behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from portfolio_shared.tracking import server
from portfolio_shared.tracking.server import MlflowServer, ServerError, free_port, main, start_server

# A server that has a worker, both deaf to SIGTERM, and that writes their process ids.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
with open(sys.argv[1], "a") as pids:
    pids.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
SUPERVISOR = """
import sys
from portfolio_shared.tracking import server
server._STOP_SECONDS = 0.3
sys.exit(server._supervise([sys.executable, "-c", sys.argv[1], sys.argv[2]], until_stdin_closes=True))
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; who inherited it has only not asked for its status yet.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool]) -> bool:
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("end", ["pipe", "terminate"])
def test_the_whole_process_group_ends_with_its_caller(tmp_path: Path, end: str) -> None:
    pids = tmp_path / "pids"
    pids.touch()
    command = [sys.executable, "-c", SUPERVISOR, STUBBORN, str(pids)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as supervisor:
        assert wait_until(lambda: len(pids.read_text().splitlines()) == 2)
        started = [int(line) for line in pids.read_text().splitlines()]
        assert all(map(is_alive, started))
        if end == "pipe":  # also what the caller's sudden death looks like
            assert supervisor.stdin is not None
            supervisor.stdin.close()
        else:
            supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(30) == 0
    assert wait_until(lambda: not any(map(is_alive, started)))


def test_a_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port} .*choose another port"):
            start_server(state=tmp_path, port=port)
        with pytest.raises(SystemExit, match="1"):
            main(["--state", str(tmp_path), "--port", str(port)])
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def replace_python(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Make `start_server` run `program` instead of a server."""
    python = folder / "python"
    python.write_text(f"#!{sys.executable}\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_a_server_that_ends_is_reported_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_python(monkeypatch, tmp_path, "print('no such database')\nraise SystemExit(3)")
    with pytest.raises(ServerError, match=r"(?s)ended before it answered\. Its log:.no such database"):
        start_server(state=tmp_path, port=free_port())


def test_silence_is_reported_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_python(monkeypatch, tmp_path, "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()")
    with pytest.raises(ServerError, match=r"(?s)no answer from .* within 2 s\. The log:.\d+"):
        start_server(state=tmp_path, port=free_port(), timeout=2.0)
    assert not is_alive(int((tmp_path / "server.log").read_text()))


def test_only_known_names_reach_the_server(running_mlflow: MlflowServer) -> None:
    port = httpx.URL(running_mlflow.uri).port
    url = f"{running_mlflow.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    for host, status in {f"localhost:{port}": 200, "127.0.0.1": 200, "mlflow.example.org": 403}.items():
        assert httpx.get(url, headers={"Host": host}).status_code == status, host


def test_further_names_can_be_allowed(tmp_path: Path) -> None:
    command = server._server_command(tmp_path, "127.0.0.1", 5500, ["mlflow"])
    allowed = command[command.index("--allowed-hosts") + 1].split(",")
    assert allowed == ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "mlflow", "mlflow:*"]


def test_no_job_runners_are_started(running_mlflow: MlflowServer) -> None:
    group = subprocess.run(
        ["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    watcher = running_mlflow.process.pid
    children = [line.split(maxsplit=2) for line in group if line.split()[0] == str(watcher)]
    assert len(children) == 1
    grandchildren = [line for line in group if line.split()[0] == children[0][1]]
    assert len(grandchildren) == 1  # uvicorn with one worker is one process
    assert "uvicorn" in grandchildren[0]
