"""What importing costs: a serving process stays small, and an import does nothing but define names."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import recommender
from recommender.model import Predictor

TRAINING_ONLY = ("pandas", "pandera", "sklearn", "scipy", "torch", "implicit", "threadpoolctl", "matplotlib")
MODULES = sorted(module.name for module in pkgutil.walk_packages(recommender.__path__, "recommender."))
# Needs MLflow, which runs it as a script when a model is loaded; nothing imports it.
ADAPTER = "recommender.mlflow_adapter"

# The app is called as a server would call it: a test client would bring libraries of its own.
ANSWER_ONE = """
import asyncio, json, os, sys
from pathlib import Path
from recommender.cli import main, ServeSettings
from portfolio_shared.serving.server import limit_blas_threads

async def predict(app, body):
    inbox = [{"type": "http.request", "body": body, "more_body": False}]
    outbox = []
    async def receive():
        return inbox.pop(0) if inbox else await asyncio.sleep(3600)
    async def send(message):
        outbox.append(message)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/recommendations", "raw_path": b"/v1/recommendations", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    return outbox[0]["status"], json.loads(outbox[1]["body"])

def answer():
    settings = ServeSettings(bundle=Path(sys.argv[1]))
    limit_blas_threads()
    from recommender.serve import create_app
    body = json.dumps({"history": [{"film_id": int(sys.argv[2])}]}).encode()
    return asyncio.run(predict(create_app(settings), body))

status, body = answer()
print(json.dumps({
    "status": status,
    "films": [item["film"]["film_id"] for item in body["recommendations"]],
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "blas_threads": os.environ["OPENBLAS_NUM_THREADS"],
}))
"""

# An audit hook sees every open() and connection of the process, and the environment is replaced by one that notes who
# reads it. What a library does while it is imported is not ours: only what code of ours does first-hand counts.
WATCH = """
import importlib, os, sys, sysconfig
from pathlib import Path

import recommender, portfolio_shared

ours = tuple(str(Path(package.__file__).parent) + os.sep for package in (recommender, portfolio_shared))
standard = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
libraries = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
found = []

def first_hand(frame):
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ours):
            return f"{name}:{frame.f_lineno}"
        if name.startswith(libraries) or not name.startswith(standard):
            return None
        frame = frame.f_back
    return None

def note(what):
    if where := first_hand(sys._getframe(2)):
        found.append(f"{where}: {what}")

WATCHED = ("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.mkdir", "os.remove")

def watch(event, arguments):
    if event in WATCHED:
        path = str(arguments[0])
        # Modules, and the tables inside of a package, which are code in another notation.
        if event == "open" and (path.endswith((".py", ".pyc", ".so")) or path.startswith(ours)):
            return
        note(f"{event} {path}")

class Watched(type(os.environ)):
    def __getitem__(self, key):
        note(f"reads {key} from the environment")
        return super().__getitem__(key)

    def __iter__(self):
        note("lists the environment")
        return super().__iter__()

inside = os.environ
os.environ = Watched(inside._data, inside.encodekey, inside.decodekey, inside.encodevalue, inside.decodevalue)
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*found, sep="\\n")
"""


def run_python(code: str, *arguments: str, cwd: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_answering_a_request_needs_no_training_library(bundle: Path, predictor: Predictor, tmp_path: Path) -> None:
    popular = predictor.recommend([], k=1).recommendations[0].film
    printed = run_python(ANSWER_ONE, str(bundle), str(popular.id), cwd=tmp_path)

    answer = json.loads(printed.splitlines()[-1])
    assert answer["status"] == 200
    assert len(answer["films"]) == 10
    assert {"numpy", "fastapi", "recommender"} <= set(answer["modules"])
    assert not set(answer["modules"]) & {*TRAINING_ONLY, "mlflow", "pytest"}
    assert answer["blas_threads"] == "1"


def test_the_command_line_starts_without_numpy(tmp_path: Path) -> None:
    printed = run_python("import recommender.cli, sys; print(*sorted(sys.modules))", cwd=tmp_path)

    loaded = {name.partition(".")[0] for name in printed.split()}
    # Linear algebra reads its number of threads when NumPy is loaded: the service sets it before that.
    assert "recommender" in loaded
    assert not loaded & {*TRAINING_ONLY, "numpy", "mlflow", "fastapi", "uvicorn"}


def test_every_module_is_known_here() -> None:
    assert {
        "recommender.serve",
        "recommender.model",
        "recommender.models.ease",
        "recommender.train",
        "recommender.cli",
        ADAPTER,
    } <= set(MODULES)


@pytest.mark.slow
def test_importing_reads_no_environment_and_opens_nothing(tmp_path: Path) -> None:
    printed = run_python(WATCH, *(name for name in MODULES if name != ADAPTER), cwd=tmp_path)

    assert printed.strip() == ""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("from pathlib import Path; Path(__file__).parent.joinpath('notes.txt').write_text('x')", "open"),
        ("import os; os.environ.get('RECOMMENDER_PORT')", "reads RECOMMENDER_PORT from the environment"),
        ("import os; os.getenv('RECOMMENDER_PORT')", "reads RECOMMENDER_PORT from the environment"),
        ("import os; dict(os.environ)", "lists the environment"),
        ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "socket.connect"),
    ],
)
def test_the_watch_sees_what_it_should(tmp_path: Path, line: str, what: str) -> None:
    # A package of the same name in front of ours: otherwise a watch that sees nothing would pass the test above.
    for package in ("recommender", "portfolio_shared"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "recommender" / "busy.py").write_text(line + "\n", encoding="utf-8")
    watch = WATCH.replace("path.startswith(ours)", "path.endswith('.toml')")

    printed = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{watch}", "recommender.busy", cwd=tmp_path
    )

    assert "busy.py:1" in printed
    assert what in printed
