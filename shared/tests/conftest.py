"""A toy project with bundles, a registry that a test controls, and a real MLflow server."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from postgresql_server import PostgresqlServer, running_postgresql

from portfolio_shared.bundle import DataInfo, Manifest, MetricValue, bundle_digest, write_bundle
from portfolio_shared.signatures import make_key, read_key, sign
from processes import free_port

numbers = itertools.count()
TOY_ADAPTER = """
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd


class Toy(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        with np.load(Path(context.artifacts["bundle"]) / "params.npz") as arrays:
            self.weight = float(arrays["weight"])

    def predict(self, context, model_input: pd.DataFrame, params: dict[str, Any] | None = None):
        area = model_input["area"].fillna(1.0)
        bonus = model_input["kind"].eq("villa").astype(float) if "kind" in model_input else 0.0
        return pd.DataFrame({"price": self.weight * area + bonus})


mlflow.models.set_model(Toy())
"""


@dataclass(frozen=True)
class ToyPredictor:
    """Price = weight * area, and one more for a villa."""

    weight: float

    def predict(self, area: float | None, kind: str | None = None) -> float:
        return self.weight * (1.0 if area is None else area) + float(kind == "villa")


def _load_toy(folder: Path) -> ToyPredictor:
    with np.load(folder / "params.npz") as arrays:
        return ToyPredictor(weight=float(arrays["weight"]))


def _manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "project": "toy",
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "git_commit": "0123456",
        "data": DataInfo(source="sample", name="toy", sha256="a" * 64, rows={"train": 3}, test_split_sha256="b" * 64),
        "config": {"seed": 0},
        "metrics": {"error": MetricValue(estimate=0.5, low=0.25, high=0.75)},
        "baselines": {"mean": {"error": MetricValue(estimate=1.0)}},
        "input_schema": {"area": {"type": "number"}},
        "input_statistics": {"area": {"mean": 2.0}},
    }
    return Manifest(**(fields | changes))


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer]:
    """Run a PostgreSQL for the whole session; skipped by name where none is installed."""
    with running_postgresql(request) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a new database for predictions, of SQLite and of PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/log.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database(f"store{next(numbers)}")


@pytest.fixture
def toy_manifest() -> Callable[..., Manifest]:
    """Make the manifest of the toy project; keywords replace fields."""
    return _manifest


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a toy bundle of a given weight, with a nested file, into a new folder; keywords replace fields."""
    numbers = iter(range(1000))

    def make(weight: float = 2.0, **changes: Any) -> Path:
        folder = tmp_path / "bundles" / str(next(numbers))
        (folder / "notes").mkdir(parents=True)
        np.savez(folder / "params.npz", weight=np.float64(weight))
        (folder / "notes" / "weight.txt").write_text(f"{weight}\n", encoding="utf-8")
        write_bundle(folder, _manifest(**changes))
        return folder

    return make


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """Return the file of a private key and its public key."""
    return tmp_path / "a.pem", make_key(tmp_path / "a.pem")


@pytest.fixture
def signed_bundle(make_bundle: Callable[..., Path], key: tuple[Path, str]) -> Callable[..., Path]:
    """Return a function: **changes -> a toy bundle that is signed."""

    def make(**changes: Any) -> Path:
        folder = make_bundle(**changes)
        sign(folder, read_key(key[0]))
        return folder

    return make


@pytest.fixture
def flip_a_bit() -> Callable[[Path], None]:
    """Change one bit in the middle of a file; a second time changes it back."""

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return flip


@pytest.fixture
def load_toy() -> Callable[[Path], ToyPredictor]:
    """Load the toy's predictor from the folder of a bundle."""
    return _load_toy


@dataclass
class FakeRegistry:
    """Speaks the five requests of MLflow's REST interface that a service makes; the test decides what it answers."""

    uri: str
    versions: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    champion: str | None = None
    challenger: str | None = None
    signatures: dict[str, str] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    # Path of a request -> status and body that replace the usual answer.
    overrides: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def publish(self, version: str, bundle: Path) -> None:
        """Make `bundle` the champion as `version`."""
        self.versions[version] = bundle
        self.digests[version] = bundle_digest(bundle)
        self.champion = version

    def answer(self, url: str) -> tuple[int, bytes]:
        parts = urlsplit(url)
        path, query = unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}
        if path in self.overrides:
            return self.overrides[path]
        if path == "/api/2.0/mlflow/registered-models/alias":
            return self._alias(query)
        if path == "/api/2.0/mlflow/model-versions/get":
            known = query["version"] in self.versions
            return self._version(query["version"]) if known else _json(404, error_code="RESOURCE_DOES_NOT_EXIST")
        if path == "/api/2.0/mlflow/model-versions/get-download-uri":
            return _json(200, artifact_uri=f"mlflow-artifacts:/1/models/m-{query['version']}/artifacts")
        _, _, rest = path.partition("/1/models/m-")
        version, _, name = rest.partition("/artifacts/artifacts/bundle/")
        self.downloads.append(f"{version}/{name}")
        file = self.versions[version] / name
        return (200, file.read_bytes()) if file.is_file() else _json(404, error_code="RESOURCE_DOES_NOT_EXIST")

    def _alias(self, query: dict[str, str]) -> tuple[int, bytes]:
        if query["name"] != "toy":
            return _json(404, error_code="RESOURCE_DOES_NOT_EXIST", message="Registered Model not found")
        version = {"champion": self.champion, "challenger": self.challenger}.get(query["alias"])
        if version is None:
            message = f"Registered model alias {query['alias']} not found."
            return _json(400, error_code="INVALID_PARAMETER_VALUE", message=message)
        return self._version(version)

    def _version(self, number: str) -> tuple[int, bytes]:
        tags = [{"key": "bundle_sha256", "value": self.digests[number]}]
        tags += [{"key": "bundle_signature", "value": self.signatures[number]}] if number in self.signatures else []
        return _json(200, model_version={"name": "toy", "version": number, "run_id": f"run-{number}", "tags": tags})


def _json(status: int, **body: object) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    registry = FakeRegistry(uri="")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = registry.answer(self.path)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.uri = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield registry
        server.shutdown()
        thread.join()


@pytest.fixture
def unused_uri() -> str:
    """Address that nothing listens on."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle()


@pytest.fixture
def toy_adapter(tmp_path: Path) -> Path:
    path = tmp_path / "toy_adapter.py"
    path.write_text(TOY_ADAPTER, encoding="utf-8")
    return path
