"""Fixtures that every package's tests share: the real data, servers, services, a browser, fresh processes.

Helpers come as fixtures that return a function, because test files cannot import from here.
"""
# ruff: noqa: S101, S603 - tests assert, and start processes that they name themselves

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
import uvicorn
from quick_suite import pytest_collection_modifyitems  # noqa: F401 - a hook
from required import missing
from small_models import SmallModel, small_models
from threadpoolctl import threadpool_limits
from xdist.scheduler import LoadScopeScheduling

from mlflow_server import MlflowServer, running_server
from portfolio_shared.serving.protocol import BoundedProtocol
from processes import Process, free_port, start, wait_until_ready
from project_table import projects

ROOT = Path(__file__).parent
# In the id of a test: its folder, or its first parameter in a test that runs for every project.
PROJECT = re.compile(rf"^projects/([^/]+)/|^tests/.*\[({'|'.join(project.name for project in projects())})[-\]]")
for _name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
    del os.environ[_name]  # tests ask servers of this machine alone
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a shell runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else no process of a test would hear Ctrl-C
os.environ["PORTFOLIO_PREDICTION_LOG"] = "off"  # a test that wants a log names a file of its own
# Of MLflow, Spark and Jupyter, whose notebooks run when they are imported, as a look for doctests does.
_others = "src/*/serving/mlflow_adapter", "src/*/data/etl/spark_*", "tests/data/etl/spark_story", "notebooks/*"
collect_ignore_glob = [*(f"projects/*/{path}.py" for path in _others), "tests/pipeline_in_process.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        help="of browser, java, npm, real_data, promtool, postgresql, what must be there, or tests fail (with commas)",
    )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Run all tests of a project in one process, and of any other file: what they share is made once."""
    return ByProject(config, log)


class ByProject(LoadScopeScheduling):
    """Deals out tests by project; xdist's own groups by mark do not reach it under this pytest."""

    def _split_scope(self, nodeid: str) -> str:
        project = PROJECT.search(nodeid)
        return next(filter(None, project.groups())) if project else nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def real_data_dir(request: pytest.FixtureRequest) -> Path:
    """Folder of the public data sets."""
    folder = Path(os.environ.get("PORTFOLIO_DATA_DIR", ROOT / ".data"))
    if not (folder / "ames" / "AmesHousing.txt").is_file():
        missing(request, "real_data", f"no public data in {folder}: set PORTFOLIO_DATA_DIR, or run `make data`")
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium_path(request: pytest.FixtureRequest) -> str:
    """Path of a Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing(request, "browser", "no Chromium on PATH: install one (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def running_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Run an MLflow server for the whole session; its files lie beside its log."""
    with running_server(state=tmp_path_factory.mktemp("mlflow"), port=free_port()) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(running_mlflow: MlflowServer) -> str:
    """Address of a running MLflow server."""
    return running_mlflow.uri


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SmallModel]:
    """Return a function: project's name -> what it learned from its sample, trained once for all tests that ask."""
    return small_models(tmp_path_factory.mktemp("small-models"))


# Services


def _eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds, at most 30 s."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object], str], None]:
    """Return a function: (condition, what it stands for) -> after the condition holds, which may take 30 s."""
    return _eventually


@dataclass
class Service:
    """A running `PROGRAM serve`."""

    process: Process
    port: int
    client: httpx.Client

    @property
    def origin(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def wait_for(self, path: str) -> None:
        wait_until_ready(self.process, self.port, path, seconds=30, interval=0.02)

    def version(self) -> str | None:
        """Return the version of the model that serves, if any."""
        answer = self.client.get("/readyz")
        return str(answer.json()["model"]["version"]) if answer.is_success else None

    def follows_to(self, version: str) -> None:
        _eventually(lambda: self.version() == version, f"the service serves version {version}")

    def metric(self, name: str) -> float:
        match = re.search(rf"^{name} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        assert match is not None, f"no metric {name}"
        return float(match[1])

    def log(self) -> list[dict[str, Any]]:
        """Return what it wrote to standard output and standard error, which is JSON and nothing else."""
        assert self.process.log is not None
        return [json.loads(line) for line in self.process.log.read_text(encoding="utf-8").splitlines()]


@contextmanager
def _running_service(program: str, folder: Path, **settings: object) -> Iterator[Service]:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    prefix = f"{program}_".replace("-", "_").upper()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    environment |= {f"{prefix}{name}".upper(): str(value) for name, value in {"port": port, **settings}.items()}
    command = [str(Path(sys.executable).with_name(program)), "serve"]
    with (
        start(program, command, log=folder / "service.log", folder=folder, environment=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
    ):
        service = Service(process, port, client)
        service.wait_for("/healthz")
        yield service
    assert process.popen.returncode == 0, process.log_end()


@pytest.fixture(scope="session")
def running_service() -> Callable[..., AbstractContextManager[Service]]:
    """Return a context manager: (program, folder, **settings) -> `PROGRAM serve`, run as a person would.

    The settings are those of the service, in small letters; the folder is where it runs and writes its logs. It is
    alive when the block starts, not necessarily ready, and must end by itself after SIGTERM.
    """
    return _running_service


@contextmanager
def _serving(app: Any) -> Iterator[httpx.Client]:
    http = BoundedProtocol if hasattr(getattr(app, "state", None), "connections") else "auto"  # as a service has it
    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "on", "ws": "none", "http": http}
    server = uvicorn.Server(uvicorn.Config(app, port=0, **options))
    thread = threading.Thread(target=server.run)
    try:
        with mock.patch("portfolio_shared.serving.app.FIRST_LOOK_SECONDS", 60.0):  # a slow machine has its model too
            thread.start()
            while not server.started:
                assert thread.is_alive(), "the service ended while it started"
                time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with (
            threadpool_limits(1, user_api="blas"),  # as a service has in a process of its own
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
        ):
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serving() -> Callable[[Any], AbstractContextManager[httpx.Client]]:
    """Return a context manager: app -> client of it, under uvicorn in a thread: a warning inside is an error here."""
    return _serving


# The browser


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Any]:
    """Start Chromium; not for the whole session, because Playwright's event loop bars `asyncio.run` of other tests."""
    from playwright.sync_api import sync_playwright

    arguments = ["--headless", "--no-sandbox", "--disable-background-networking"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def watched_page(browser: Any) -> Callable[..., AbstractContextManager[tuple[Any, list[str]]]]:
    """Return a context manager: (origin, **options of the browser's context) -> a new page and its complaints.

    Complaints are errors of scripts, and errors and warnings of the console. The page must ask no other host.
    """

    @contextmanager
    def watched(origin: str, **options: Any) -> Iterator[tuple[Any, list[str]]]:
        context = browser.new_context(**options)
        page = context.new_page()
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        yield page, complaints
        context.close()
        elsewhere = [url for url in requests if not url.startswith((f"{origin}/", "data:", "blob:"))]
        assert elsewhere == [], "the page asks other hosts"
        assert len(requests) > 5

    return watched


def _run_python(*arguments: str, cwd: Path, stdin: bytes = b"") -> str:
    result = subprocess.run(
        [sys.executable, "-B", "-W", "error", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


@pytest.fixture
def loaded_by(tmp_path: Path) -> Callable[[str], set[str]]:
    """Return a function: module -> top-level names of what importing it loads."""

    def loaded(module: str) -> set[str]:
        printed = _run_python("-c", f"import {module}, sys; print(*sys.modules)", cwd=tmp_path)
        return {name.partition(".")[0] for name in printed.split()}

    return loaded


@pytest.fixture
def answer_once(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function: (package, bundle, path, body, content_type) -> status, body, and what was loaded for them."""

    def answer(
        package: str, bundle: Path, path: str, body: bytes, content_type: str = "application/json"
    ) -> dict[str, Any]:
        script = str(ROOT / "tests" / "fresh" / "answer_once.py")
        printed = _run_python(script, package, str(bundle), path, content_type, cwd=tmp_path, stdin=body)
        answered: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return answered

    return answer


@pytest.fixture
def watch_imports(tmp_path: Path) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    """Return a function: (packages, modules) -> what our own code did while they were imported, but define names."""

    def watch(packages: Sequence[str], modules: Sequence[str]) -> list[str]:
        script = str(ROOT / "tests" / "fresh" / "watch_imports.py")
        return _run_python(script, ",".join(packages), *modules, cwd=tmp_path).splitlines()

    return watch
