"""A registry that misbehaves, for benchmarks and tests: MLflow's answers about one bundle, with one fault."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

DRIP_SECONDS = 0.25
MANIFEST = "bundle.json"
_ALIAS, _URI = "/api/2.0/mlflow/registered-models/alias", "/api/2.0/mlflow/model-versions/get-download-uri"


class FaultyRegistry(ThreadingHTTPServer):
    """Answers as an MLflow server does whose champion is one version, but for its fault.

    Parameters
    ----------
    name, version, bundle
        Of the registered model.
    fault
        Called for each request; returns whether it has answered.
    """

    daemon_threads, block_on_close = True, False

    def __init__(self, name: str, version: str, bundle: Path, fault: "Fault") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bundle, self.fault, self.ended = bundle, fault, threading.Event()
        tags: Any = [{"key": "bundle_sha256", "value": sha256((bundle / MANIFEST).read_bytes()).hexdigest()}]
        self.model_version: dict[str, Any] = {"name": name, "version": version, "run_id": "run", "tags": tags}
        self.uri = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that has gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyRegistry

    def do_GET(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        self.of_file = path not in (_ALIAS, _URI)
        if self.server.fault(self):
            return
        if path == _ALIAS:
            self.answer({"model_version": self.server.model_version})
        elif path == _URI:
            self.answer({"artifact_uri": "mlflow-artifacts:/1/models/m-1/artifacts"})
        else:
            name = path.partition("/artifacts/artifacts/bundle/")[2]
            self.send(200, (self.server.bundle / name).read_bytes())

    def answer(self, body: object, status: int = 200) -> None:
        self.send(status, json.dumps(body).encode())

    def send(self, status: int, body: bytes, coding: str = "identity") -> None:
        self.send_response(status)
        self.send_header("Content-Encoding", coding)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, start: bytes, piece: bytes) -> None:
        """Send a piece again and again, as long as the client listens."""
        self.wfile.write(start)
        while not self.server.ended.is_set():
            self.wfile.write(piece)
            time.sleep(DRIP_SECONDS)

    def log_message(self, *_: object) -> None:
        """Write no line for each request."""


Fault = Callable[[_Handler], bool]


def silent(handler: _Handler) -> bool:
    """Accept, and never answer."""
    handler.server.ended.wait()
    return True


def drips_headers(handler: _Handler) -> bool:
    """Send one header after the other, and no end of them."""
    handler.drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")
    return True


def drips_answers(handler: _Handler) -> bool:
    """Send the body of an answer a byte at a time."""
    handler.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")
    return True


def drips_files(handler: _Handler) -> bool:
    """Answer what is asked, and send files a byte at a time."""
    return handler.of_file and drips_answers(handler)


def null_tags(handler: _Handler) -> bool:
    """Say that the version has no tags by a null."""
    handler.answer({"model_version": handler.server.model_version | {"tags": None}})
    return True


def proxys_404(handler: _Handler) -> bool:
    """Answer as a gateway does that does not know the way."""
    handler.answer({"message": "route not found"}, 404)
    return True


def none(_handler: _Handler) -> bool:
    """Have no fault."""
    return False


FAULTS: dict[str, Fault] = {
    fault.__name__: fault for fault in (silent, drips_headers, drips_answers, drips_files, null_tags, proxys_404, none)
}


@contextmanager
def faulty_registry(name: str, version: str, bundle: Path, fault: Fault) -> Iterator[FaultyRegistry]:
    """Run a registry for the length of a ``with`` block."""
    with FaultyRegistry(name, version, bundle, fault) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()
