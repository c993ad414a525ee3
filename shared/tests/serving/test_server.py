"""Run the demo project of demo_service.py as a process of its own, as a person or a container would."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest
import uvicorn
from demo_process import SERVE, Answer, Service, environment
from demo_service import DemoSettings
from fastapi import FastAPI

from portfolio_shared.serving import server
from portfolio_shared.serving.server import ACCEPTS, STARTUP_FAILURE, SWITCH_SECONDS, run
from processes import wait_until_ready

pytestmark = pytest.mark.slow


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path)
    with service.process:
        wait_until_ready(service.process, service.port, "/healthz", interval=0.05)
        yield service


@pytest.mark.long
def test_sigterm_finishes_the_request_in_progress_and_exits_with_0(service):
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(service.request("POST", "/v1/slow?seconds=1.0")))
    thread.start()
    service.wait_for("http_requests_in_flight 2")
    code, lines = service.stop()
    thread.join()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b'{"slept":"well"}')]
    assert code == 0
    assert ("/v1/slow", 200) in [(line.get("route"), line.get("status")) for line in lines]
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


@pytest.mark.long
def test_ctrl_c_ends_without_a_traceback(service):
    code, lines = service.stop(signal.SIGINT)
    assert code == 0
    assert not [line for line in lines if "traceback" in line]


def test_server_does_not_say_what_it_is(service):
    assert "server" not in service.request("GET", "/healthz").headers


@pytest.mark.parametrize("size", [1_000_001, 20_000_000])
def test_client_that_sends_too_much_reads_the_413(service, size):
    # Closing the connection at once would reset it, and the client would see a broken pipe and not the reason.
    answer = service.request("POST", "/v1/raw", b"x" * size)
    assert answer.status == 413
    assert json.loads(answer.body)["status"] == 413


def test_chunked_body_that_never_ends_is_413(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"POST /v1/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            client.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_client_that_hangs_up_mid_body_is_logged_and_nothing_breaks(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"POST /v1/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
        service.wait_for("http_connections 2")
    service.wait_for("http_connections 1")
    _, lines = service.stop()
    assert ("/v1/raw", 499) in [(line.get("route"), line.get("status")) for line in lines]
    assert not [line for line in lines if line["level"] == "error"]


def python(script, **variables):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=False)


@pytest.mark.long
def test_port_in_use_is_an_error_and_no_traceback(service, tmp_path):
    done = python(SERVE, DEMO_PORT=str(service.port), DEMO_MODEL_CACHE=str(tmp_path))
    assert done.returncode == STARTUP_FAILURE
    assert any("address already in use" in json.loads(line)["message"] for line in done.stdout.splitlines())
    said = f"127.0.0.1:{service.port} is taken or forbidden: stop what listens there, or name another --port\n"
    assert done.stderr == said


LIMIT = "from portfolio_shared.serving.server import limit_blas_threads; limit_blas_threads(); "
THREADS = "import os, numpy; a = numpy.ones((600, 600)); a @ a; print(len(os.listdir('/proc/self/task')))"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc, which only Linux has")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="with one core BLAS has one thread anyway")
def test_blas_has_one_thread():
    assert int(python(THREADS).stdout) > 1
    assert int(python(LIMIT + THREADS).stdout) == 1


@pytest.mark.long
def test_limit_that_comes_too_late_is_refused_where_none_is_set_already():
    late = python("import numpy; " + LIMIT)
    assert late.returncode == 1
    assert "NumPy is loaded before" in late.stderr
    assert python("import numpy; " + LIMIT, OPENBLAS_NUM_THREADS="1").returncode == 0
    show = LIMIT + "import os; print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])"
    assert python(show, OPENBLAS_NUM_THREADS="4").stdout == "4 1\n"


def test_the_loop_waits_shortly_for_threads_accepts_several_and_is_not_kept_by_a_collection(monkeypatch):
    frozen, interval = gc.get_freeze_count(), sys.getswitchinterval()
    listener = socket.create_server(("127.0.0.1", 0))
    servers = [Mock(sockets=[listener])]
    monkeypatch.setattr(uvicorn.Server, "startup", AsyncMock())
    monkeypatch.setattr(uvicorn.Server, "servers", servers, raising=False)
    monkeypatch.setattr(uvicorn.Server, "lifespan", Mock(), raising=False)
    monkeypatch.setattr(uvicorn.Server, "run", run_started)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(server, "configure_logging", lambda _: None)
    try:
        run(FastAPI(), DemoSettings())
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
        assert gc.get_freeze_count() > frozen
        assert len(servers) == ACCEPTS
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)
        listener.close()


def run_started(self, **_):
    assert self.config.reset_contextvars  # see test_tracing.py

    async def start_and_stop():
        await self.startup()
        for each in self.servers:
            each.close()

    asyncio.run(start_and_stop())
    self.started = True
