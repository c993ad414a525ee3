"""The demo project as a process of its own, as a person or a container would run it."""

import http.client
import json
import os
import signal
import sys
import time
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import NamedTuple

from processes import free_port, start

TESTS = Path(__file__).parent
SERVE = (
    "from pydantic_settings import SettingsConfigDict\n"
    "from portfolio_shared.serving.server import serve\n"
    "from portfolio_shared.serving.settings import ServiceSettings\n"
    "class DemoSettings(ServiceSettings):\n"
    "    model_config = SettingsConfigDict(env_prefix='DEMO_')\n"
    "    port: int = 8000\n"
    "    model_name: str = 'demo'\n"
    "serve('demo_service:create_app', DemoSettings())\n"
)


def environment(**variables):
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    return clean | {"PYTHONPATH": path} | variables


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Service:
    """The demo project as a process, on a port of its own."""

    def __init__(self, page, *, factory="demo_service:create_app", **variables):
        (page / "index.html").write_text("<!doctype html><title>demo</title>")
        self.port = free_port()
        variables = {"DEMO_PORT": str(self.port), "DEMO_MODEL_CACHE": str(page)} | variables
        command = [sys.executable, "-c", SERVE.replace("demo_service:create_app", factory)]
        self.process = start("the demo", command, log=page / "service.log", environment=environment(**variables))

    def request(self, method, path, body=None, headers=None):
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def wait_for(self, metric):
        """Wait until a metric has a value, the request that asks for it included."""
        for _ in range(1000):
            if f"\n{metric}.0\n".encode() in self.request("GET", "/metrics").body:
                return
            time.sleep(0.01)
        raise AssertionError(f"there was never {metric}")

    def stop(self, number=signal.SIGTERM):
        """Send a signal and give the exit code and the lines of the log."""
        if self.process.popen.poll() is None:
            self.process.popen.send_signal(number)
        code = self.process.popen.wait(timeout=30)
        assert self.process.log is not None
        return code, [json.loads(line) for line in self.process.log.read_text().splitlines()]
