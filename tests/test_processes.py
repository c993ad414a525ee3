"""Processes start with a log, are waited for, are reported when they end, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import processes
from processes import ProcessError, free_port, output_of, start, stop, wait_until_ready

Eventually = Callable[[Callable[[], object], str], None]

# A program that has a child, both deaf to SIGTERM, and that writes their process ids.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
with open(sys.argv[1], "a") as pids:
    pids.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
GUARD = f"""
import processes, sys
processes.GUARD_STOP_SECONDS = 0.3
sys.exit(processes.guard([sys.executable, "-c", {STUBBORN!r}, sys.argv[1]]))
"""
SERVER = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; who inherited it has only not asked for its status yet.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"


def started(pids: Path, eventually: Eventually) -> list[int]:
    """Return the ids of the stubborn program and its child, once both have written theirs."""
    eventually(lambda: pids.exists() and len(pids.read_text(encoding="utf-8").splitlines()) == 2, "both processes run")
    return [int(line) for line in pids.read_text(encoding="utf-8").splitlines()]


@pytest.mark.long
def test_a_whole_group_is_stopped_even_if_it_is_deaf(tmp_path: Path, eventually: Eventually) -> None:
    process = start("deaf", [sys.executable, "-c", STUBBORN, str(tmp_path / "pids")])
    pids = started(tmp_path / "pids", eventually)
    assert all(map(is_alive, pids))

    stop(process, seconds=0.1)
    stop(process)  # again, which does nothing

    assert process.popen.returncode == -signal.SIGKILL
    eventually(lambda: not any(map(is_alive, pids)), "both have ended")


@pytest.mark.parametrize("end", ["pipe", "terminate"])
def test_what_is_guarded_ends_with_its_caller(tmp_path: Path, eventually: Eventually, end: str) -> None:
    command = [sys.executable, "-c", GUARD, str(tmp_path / "pids")]
    environment = os.environ | {"PYTHONPATH": str(Path(processes.__file__).parent)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as guard:
        pids = started(tmp_path / "pids", eventually)
        if end == "pipe":  # also what the caller's sudden death looks like
            assert guard.stdin is not None
            guard.stdin.close()
        else:
            guard.terminate()
        assert guard.wait(30) == 0
    eventually(lambda: not any(map(is_alive, pids)), "both have ended")


def test_ready_is_an_answer_of_200(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port)]
    with start("the server", command, log=tmp_path / "logs" / "log", folder=tmp_path) as process:
        wait_until_ready(process, port, "/", seconds=30)
        with pytest.raises(
            ProcessError, match=r"(?s)the server is not ready after 0.1 s: .*404.* The end of .*/readyz"
        ):
            wait_until_ready(process, port, "/readyz", seconds=0.1)
    with pytest.raises(ProcessError, match=r"the server ended with exit status -15\. The end of .*log:\n"):
        wait_until_ready(process, port)


def test_what_ends_is_reported_with_its_status_and_the_end_of_its_log(tmp_path: Path) -> None:
    program = "print('no such database'); raise SystemExit(3)"
    with (
        start("odd", [sys.executable, "-c", program], log=tmp_path / "log", guarded=True) as process,
        pytest.raises(ProcessError, match=r"odd ended with exit status 3\. The end of .*log:\nno such database"),
    ):
        wait_until_ready(process, free_port())


def test_a_wait_that_is_cancelled_returns() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with start("slow", [sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        wait_until_ready(process, free_port(), cancelled=cancelled)
        process.require_running()


def test_what_a_command_says_is_in_the_error() -> None:
    with pytest.raises(ProcessError, match=r"exit status 2: no such thing$"):
        output_of("sh", "-c", "echo no such thing >&2; exit 2")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"the service cannot be started: .*absent"):
        start("the service", [tmp_path / "absent"], log=tmp_path / "log")


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProcessError, match=r"the server cannot be started, because its log cannot be written: .*file"):
        start("the server", ["true"], log=tmp_path / "file" / "server.log")
