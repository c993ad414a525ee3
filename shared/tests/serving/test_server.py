"""Run the demo project of demo_service.py as a process of its own, as a person or a container would."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from processes import free_port, start, wait_until_ready

TESTS = Path(__file__).parent
SERVE = (
    "from pydantic_settings import SettingsConfigDict\n"
    "from portfolio_shared.serving.server import serve\n"
    "from portfolio_shared.serving.settings import ServiceSettings\n"
    "class DemoSettings(ServiceSettings):\n"
    "    model_config = SettingsConfigDict(env_prefix='DEMO_')\n"
    "    port: int = 8000\n"
    "    model_name: str = 'demo'\n"
    "serve('demo_service:create_app', DemoSettings)\n"
)

pytestmark = pytest.mark.slow


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    return clean | {"PYTHONPATH": path} | variables


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Service:
    """The demo project as a process, on a port of its own."""

    def __init__(self, page: Path, **variables: str) -> None:
        (page / "index.html").write_text("<!doctype html><title>demo</title>")
        self.port = free_port()
        variables = {"DEMO_PORT": str(self.port), "DEMO_MODEL_CACHE": str(page)} | variables
        command = [sys.executable, "-c", SERVE]
        self.process = start("the demo", command, log=page / "service.log", environment=environment(**variables))

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def wait_for_in_flight(self, count: int) -> None:
        """Wait until so many requests are being answered, the one that asks included."""
        for _ in range(1000):
            if f"http_requests_in_flight {count}.0\n".encode() in self.request("GET", "/metrics").body:
                return
            time.sleep(0.01)
        raise AssertionError(f"there were never {count} requests in flight")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, list[dict[str, Any]]]:
        """Send a signal and give the exit code and the lines of the log."""
        if self.process.popen.poll() is None:
            self.process.popen.send_signal(number)
        code = self.process.popen.wait(timeout=30)
        assert self.process.log is not None
        return code, [json.loads(line) for line in self.process.log.read_text().splitlines()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    with service.process:
        wait_until_ready(service.process, service.port, "/healthz", interval=0.05)
        yield service


def test_sigterm_finishes_the_request_in_progress_and_exits_with_0(service: Service) -> None:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(service.request("POST", "/v1/slow?seconds=1.0")))
    thread.start()
    service.wait_for_in_flight(2)
    code, lines = service.stop()
    thread.join()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b'{"slept":"well"}')]
    assert code == 0
    assert ("/v1/slow", 200) in [(line.get("route"), line.get("status")) for line in lines]
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


def test_ctrl_c_ends_without_a_traceback(service: Service) -> None:
    code, lines = service.stop(signal.SIGINT)
    assert code == 0
    assert not [line for line in lines if "traceback" in line]


def test_server_does_not_say_what_it_is(service: Service) -> None:
    assert "server" not in service.request("GET", "/healthz").headers


@pytest.mark.parametrize("size", [1_000_001, 20_000_000])
def test_client_that_sends_too_much_reads_the_413(service: Service, size: int) -> None:
    # Closing the connection at once would reset it, and the client would see a broken pipe and not the reason.
    answer = service.request("POST", "/v1/raw", b"x" * size)
    assert answer.status == 413
    assert json.loads(answer.body)["status"] == 413


def test_chunked_body_that_never_ends_is_413(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"POST /v1/raw HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            client.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_client_that_hangs_up_mid_body_is_logged_and_nothing_breaks(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"POST /v1/raw HTTP/1.1\r\nHost: demo\r\nContent-Length: 1000\r\n\r\nhalf")
        service.wait_for_in_flight(2)
    service.wait_for_in_flight(1)
    _, lines = service.stop()
    assert ("/v1/raw", 499) in [(line.get("route"), line.get("status")) for line in lines]
    assert not [line for line in lines if line["level"] == "error"]


def test_refused_setting_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment(DEMO_PROT="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: DEMO_PROT is not a setting; the nearest one is DEMO_PORT. Rename or unset it.\n"


def test_port_in_use_is_an_error_and_no_traceback(service: Service, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment(DEMO_PORT=str(service.port), DEMO_MODEL_CACHE=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "address already in use" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


THREADS = "import os, numpy; a = numpy.ones((600, 600)); a @ a; print(len(os.listdir('/proc/self/task')))"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc, which only Linux has")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="with one core BLAS has one thread anyway")
def test_blas_has_one_thread() -> None:
    def threads(script: str) -> int:
        return int(
            subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, check=True).stdout
        )

    limit = "from portfolio_shared.serving.server import limit_blas_threads; limit_blas_threads(); "
    assert threads(THREADS) > 1
    assert threads(limit + THREADS) == 1


def test_limit_that_comes_too_late_is_refused() -> None:
    script = "import numpy; from portfolio_shared.serving.server import limit_blas_threads; limit_blas_threads()"
    command = [sys.executable, "-c", script]
    late = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert late.returncode == 1
    assert "NumPy is loaded before" in late.stderr
    subprocess.run(command, env=environment(OPENBLAS_NUM_THREADS="1"), check=True)


def test_number_of_threads_that_is_set_already_stays() -> None:
    script = (
        "import os; from portfolio_shared.serving.server import limit_blas_threads; limit_blas_threads(); "
        "print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(OPENBLAS_NUM_THREADS="4"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "4 1\n"
