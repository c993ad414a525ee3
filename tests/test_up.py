"""`make up` from nothing to predictions, and back to nothing; what it does when something else happens, with stubs."""

import importlib
import os
import re
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import processes
from compose_stack import example_request
from portfolio_shared.tracking.client import tracking_client
from processes import Process, free_port, start
from project_table import projects

pytestmark = pytest.mark.slow

SCRIPTS = Path(processes.__file__).parent
PROJECTS = projects()
NAMES = [project.name for project in PROJECTS]
QUICK = {
    "HOUSING_TRAIN_FOLDS": "2",
    "HOUSING_TRAIN_THREADS": "1",
    "IMAGE_CLASSIFIER_TRAIN_EPOCHS": "2",
    "IMAGE_CLASSIFIER_TRAIN_THREADS": "1",
}
# Nothing listens there, and no package for SOCKS is installed.
ELSEWHERE = {
    **dict.fromkeys(("HTTP_PROXY", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("ALL_PROXY", "all_proxy"), "socks5://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
    "PYTHONIOENCODING": "ascii",
    "HOUSING_SERVICE_PORT": "tcp://10.0.0.1:8001",  # as Kubernetes sets it
}
# Runs up.py with projects' commands from the folder that is named first, and with a sleeping process for MLflow.
STUBBED = """
import contextlib, sys
from pathlib import Path
import mlflow_server, processes, up

@contextlib.contextmanager
def running_server(*, state, port):
    sleeper = processes.start("the MLflow server", [sys.executable, "-c", "import time; time.sleep(99)"])
    try:
        yield mlflow_server.MlflowServer(f"http://127.0.0.1:{port}", state / "server.log", sleeper)
    finally:
        processes.stop(sleeper)

up.running_server = running_server
up.BIN = Path(sys.argv.pop(1))
sys.exit(up.main())
"""
STUB = """
import http.server, os, sys, time
project, command = sys.argv[1:3]
print(project, *sys.argv[2:], flush=True)
if command == "train":
    time.sleep(float(os.environ.get("STUB_TRAINS", "0")))
    sys.exit(project == os.environ.get("STUB_TRAINS_BADLY"))
if project == os.environ.get("STUB_SERVES_BADLY"):
    sys.exit("no model at all")
open("readyz", "w").close()
port = int(os.environ[project.upper().replace("-", "_") + "_PORT"])
http.server.test(http.server.SimpleHTTPRequestHandler, port=port, bind="127.0.0.1")
"""


@dataclass(frozen=True)
class Place:
    """A working directory with ports of its own; everything that is started in it carries its mark."""

    folder: Path
    ports: dict[str, int]
    mark: str

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def page(self, name: str) -> str:
        """Return the HTML of a page."""
        return httpx.get(self.url(name), trust_env=False).raise_for_status().text

    def addresses(self, name: str) -> set[str]:
        """Return the servers that a page links."""
        return {f"{scheme}//{host}" for scheme, host in re.findall(r'href="(https?:)//([^/"]+)', self.page(name))}

    def environment(self, **more: str) -> dict[str, str]:
        prefixes = ("MLFLOW_", *(project.prefix for project in PROJECTS))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        ports = {f"{project.prefix}PORT": str(self.ports[project.name]) for project in PROJECTS}
        ports["INDEX_PORT"] = str(self.ports["index"])
        settings = {"MLFLOW_TRACKING_URI": self.url("mlflow"), "PORTFOLIO_TEST_MARK": self.mark}
        return clean | {"PYTHONPATH": str(SCRIPTS), "PYTHON": sys.executable} | ports | settings | more

    def leftovers(self) -> list[str]:
        """Return the commands of processes that were started here and still run (where there is a /proc)."""
        commands = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"PORTFOLIO_TEST_MARK={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    commands.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # ended in between, or of another user
        return commands


@dataclass(frozen=True)
class Up:
    """A running up.py, in a process group of its own as in a terminal."""

    place: Place
    process: Process

    def output(self) -> str:
        assert self.process.log is not None
        return self.process.log.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output():
            assert self.process.popen.poll() is None, self.output()
            assert time.monotonic() < deadline, f"no {text!r} within {seconds} s:\n{self.output()}"
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> None:
        """Send the signal to the whole group, as a terminal does with Ctrl-C; require that all of it ends well."""
        os.killpg(self.process.popen.pid, number)
        assert self.process.popen.wait(timeout=60) == 0, self.output()
        assert self.output().rstrip().endswith("Stopped.")
        self.require_nothing_left()

    def fails(self) -> str:
        """Wait until it has ended with status 1, require that it left nothing; return what it wrote."""
        assert self.process.popen.wait(timeout=60) == 1, self.output()
        self.require_nothing_left()
        return self.output()

    def require_nothing_left(self) -> None:
        assert self.place.leftovers() == []
        for name, port in self.place.ports.items():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0, name
        assert "Traceback" not in self.output()


@contextmanager
def running_up(place: Place, *command: str, **variables: str) -> Iterator[Up]:
    words = [sys.executable, *command, "--data", "sample"]
    log = place.folder / f"{uuid.uuid4().hex}.log"
    with start("up", words, log=log, folder=place.folder, environment=place.environment(**variables)) as process:
        yield Up(place, process)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "a new folder"
    folder.mkdir()
    return Place(folder, {name: free_port() for name in ("mlflow", "index", *NAMES)}, uuid.uuid4().hex)


@pytest.fixture
def stubbed_up(place: Place) -> Callable[..., Up]:
    """Return a context manager: (**variables) -> a running up.py for which stubs train and serve."""
    stubs = place.folder / "bin"
    stubs.mkdir()
    (stubs / "stub.py").write_text(STUB, encoding="utf-8")
    for project in PROJECTS:
        (stubs / project.name).write_text(f'#!/bin/sh\nexec "$PYTHON" "$(dirname "$0")/stub.py" {project.name} "$@"\n')
        (stubs / project.name).chmod(0o755)
    return lambda **variables: running_up(place, "-c", STUBBED, str(stubs), **variables)


@pytest.mark.long  # three trainings and four servers
def test_it_trains_and_serves_every_project_until_ctrl_c(place: Place) -> None:
    """On a machine behind proxies, with another encoding than UTF-8, and with a password in MLflow's address."""
    address = place.url("mlflow").replace("//", f"//user:{place.mark}@")
    with running_up(place, str(SCRIPTS / "up.py"), **QUICK, **ELSEWHERE, MLFLOW_TRACKING_URI=address) as up:
        # After MLflow, which may take as long to start where other tests compute.
        up.wait_for(f"The start page says how far it is: {place.url('index')}", seconds=120)
        assert 'data-state="waiting"' in place.page("index")
        up.wait_for("Open in a browser", seconds=400)
        assert 'data-state="waiting"' not in place.page("index")
        assert place.addresses("index") == {place.url(name) for name in ("mlflow", *NAMES)}
        for project in PROJECTS:
            example = example_request(project.name)
            headers = {"Content-Type": example.content_type}
            url = place.url(project.name, example.path)
            answer = httpx.post(url, content=example.body, headers=headers, timeout=30, trust_env=False)
            assert answer.is_success, answer.text
            assert answer.json()["model"] == {"name": project.name, "version": "1"}
            model = httpx.get(place.url(project.name, "/v1/model"), trust_env=False).json()
            is_sample = importlib.import_module(f"{project.package}.data.load").is_sample("sample")
            assert (model["origin"], model["data"]["source"]) == ("registry", "sample" if is_sample else "full")
            assert model["data"]["name"] in place.page("index")
            assert httpx.get(place.url(project.name, "/docs"), trust_env=False).is_success
            others = {"index", *NAMES} - {project.name}
            assert place.addresses(project.name) == {place.url(name) for name in others}
        with tracking_client(place.url("mlflow")) as client:
            versions = {(version.name, str(version.version)) for version in client.search_model_versions()}
        assert versions == {(project.name, "1") for project in PROJECTS}
        if Path("/proc").is_dir():  # or else the check that nothing is left sees nothing
            assert len(place.leftovers()) >= 4 + len(
                PROJECTS
            )  # itself, MLflow's guard, MLflow, its pages, the services
        up.end(signal.SIGINT)
    assert [
        path for path in place.folder.rglob("*") if path.is_file() and place.mark.encode() in path.read_bytes()
    ] == []
    printed = up.output().partition("Open in a browser")[2]
    for name in place.ports:
        assert place.url(name) in printed
    commands = re.findall(r"^  make ([a-z-]+) ", printed, re.MULTILINE)
    assert commands == [f"train-{NAMES[0]}", f"rollback-{NAMES[0]}"]


@pytest.mark.long
def test_sigterm_ends_it_as_well(stubbed_up: Callable[..., Up]) -> None:
    with stubbed_up() as up:
        up.wait_for("Open in a browser")
        up.end(signal.SIGTERM)
    for project in PROJECTS:  # what has a champion is not trained again
        flags = " ".join(["--if-missing", "--data", "sample", *project.first_train_flags])
        assert f"{project.name} train {flags}\n" in up.output()


@pytest.mark.long
def test_ctrl_c_while_training_stops_everything(stubbed_up: Callable[..., Up]) -> None:
    with stubbed_up(STUB_TRAINS="60") as up:
        up.wait_for(f"{PROJECTS[0].name} train")
        assert up.place.addresses("index") == {up.place.url(name) for name in ("mlflow", *NAMES)}
        up.end(signal.SIGINT)
    assert f"{PROJECTS[1].name} train" not in up.output()
    assert "Open in a browser" not in up.output()


@pytest.mark.long
def test_what_fails_is_named_and_the_rest_is_stopped(stubbed_up: Callable[..., Up]) -> None:
    with stubbed_up(STUB_TRAINS_BADLY="recommender") as up:
        assert "training recommender ended with exit status 1" in up.fails()
    with stubbed_up(STUB_SERVES_BADLY="recommender", STUB_TRAINS="60") as up:
        output = up.fails()
    assert "the recommender service ended with exit status 1. The end of .state/logs/recommender.log:\n" in output
    assert "\nno model at all\n" in output


@pytest.mark.parametrize("taken", ["housing", "index", "mlflow"])
def test_a_taken_port_is_reported_before_anything_is_started(place: Place, taken: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", place.ports[taken]))
        holder.listen()
        with running_up(place, str(SCRIPTS / "up.py")) as up:
            assert up.process.popen.wait(timeout=60) == 1

    variable = {"housing": "HOUSING_PORT", "index": "INDEX_PORT", "mlflow": "MLFLOW_TRACKING_URI"}[taken]
    assert f"port {place.ports[taken]} is taken" in up.output()
    assert variable in up.output()
    assert "MLflow runs" not in up.output()
    assert not (place.folder / ".state").exists()
    assert place.leftovers() == []


@pytest.mark.parametrize(
    ("name", "value"), [("HOUSING_PORT", "http"), ("HOUSING_PORT", "70000"), ("MLFLOW_TRACKING_URI", "http://far:5500")]
)
def test_a_setting_that_cannot_be_used_is_named(place: Place, name: str, value: str) -> None:
    with running_up(place, str(SCRIPTS / "up.py"), **{name: value}) as up:
        output = up.fails()

    assert name in output
    assert value in output
