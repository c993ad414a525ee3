"""Who plays in the stories of registry and services: models in a registry, and requests that never stop."""

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from small_models import QUIET, SmallModel

from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.training import run, write

Service = Any  # of the root conftest.py


def ask(client: httpx.Client, small: SmallModel) -> tuple[str, str]:
    """Return which version answers the project's request, and its answer as text."""
    headers = {"content-type": small.request.content_type}
    body = client.post(small.request.path, content=small.request.body, headers=headers).raise_for_status().json()
    version = str(body.pop("model")["version"])
    del body["id"]
    return version, json.dumps(body)


def answers_alone(small: SmallModel, serving: Any, eventually: Any, folder: Path) -> dict[str, str]:
    """Return what the poor model (version 1) and the good one (version 2) answer, each served from its bundle."""
    poor = small.config.model_copy(update={"output": folder / "bundle"})
    write(small.module("train").PROJECT, poor, small.poor, QUIET)
    settings, create_app = small.module("config").ServeSettings, small.module("serving.app").create_app
    answers = {}
    for version, bundle in {"1": poor.output, "2": small.bundle}.items():
        with serving(create_app(settings(bundle=bundle))) as client:
            eventually(lambda client=client: client.get("/readyz").is_success, "the model is loaded")
            _, answers[version] = ask(client, small)
    assert answers["1"] != answers["2"]
    return answers


class Door:
    """Passes connections on to a port of this machine until it is shut: a server that goes away for those behind it."""

    def __init__(self, port: int) -> None:
        self.target = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = [self.listener]
        self.uri = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                ends = [self.listener.accept()[0], socket.create_connection(self.target)]
            except OSError:  # it is shut
                return
            self.open += ends
            for source, sink in (ends, ends[::-1]):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()

    def shut(self) -> None:
        for each in self.open:
            _close(each)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:  # an end is gone, and the other follows
        pass
    _close(source)
    _close(sink)


def _close(end: socket.socket) -> None:
    """Close it, and wake up who waits for it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@dataclass
class Load:
    """Asks again and again, and keeps every answer and every failure."""

    service: Service
    small: SmallModel
    answers: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.service.client.base_url, trust_env=False, timeout=30) as client:
            while not self.stop.wait(0.05):
                try:
                    self.answers.append(ask(client, self.small))
                except (httpx.HTTPError, ValueError, LookupError) as error:
                    self.failures.append(repr(error))

    def versions(self) -> list[str]:
        """Return the versions that answered, in order, each run of one version once."""
        seen = [version for version, _ in self.answers]
        return [version for i, version in enumerate(seen) if i == 0 or version != seen[i - 1]]


@dataclass
class Registry:
    """The MLflow server behind a door, and the trainings that go through its gate."""

    door: Door
    small: SmallModel
    artifacts: Path
    output: Path

    @property
    def name(self) -> str:
        return self.small.project.name

    @property
    def uri(self) -> str:
        return self.door.uri

    def train(self, trained: Any, *, figures: bool = False) -> None:
        """Do what `train` does, but for the learning: write, log, register, pass the gate."""
        spine = self.small.module("train").PROJECT
        draw = spine.draw if figures else lambda evaluation, candidates, folder: folder.mkdir()
        config = self.small.config.model_copy(update={"tracking_uri": self.uri, "output": self.output})
        run(replace(spine, learn=lambda *_: trained, draw=draw), config, QUIET)

    def aliases(self) -> dict[str, str]:
        with tracking_client(self.uri) as client:
            return {alias: str(version) for alias, version in client.get_registered_model(self.name).aliases.items()}

    def gate(self, version: str) -> str:
        """Return the words of the gate about a version."""
        with tracking_client(self.uri) as client:
            return str(client.get_model_version(self.name, version).tags["gate"])

    def run_id(self, version: str) -> str:
        with tracking_client(self.uri) as client:
            return str(client.get_model_version(self.name, version).run_id)
