"""Load a project's command line, then answer one request as a service does, with its log on; print what that took.

As JSON: status, answer, BLAS threads, and the packages that were loaded after each of the two.

Usage: python answer_once.py PACKAGE BUNDLE PATH CONTENT_TYPE < BODY

The app is called as a server would call it: a test client would bring libraries of its own.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


async def ask(app: Any, path: str, content_type: str, body: bytes) -> tuple[int, Any]:
    inbox = [{"type": "http.request", "body": body, "more_body": False}]
    outbox: list[dict[str, Any]] = []

    async def receive() -> Any:
        return inbox.pop(0) if inbox else await asyncio.sleep(3600)

    async def send(message: dict[str, Any]) -> None:
        outbox.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    return outbox[0]["status"], json.loads(outbox[1]["body"])


def loaded_packages() -> list[str]:
    """Return the packages, and by both names those of which FastAPI loads a part; OpenTelemetry's does nothing."""
    parts = [name.split(".") for name, module in sys.modules.items() if module]
    split = {".".join(name[:2]) for name in parts if name[0] in {"opentelemetry", "pydantic"}}
    return sorted({name for name, *_ in parts} | split)


def main() -> None:
    package, bundle, path, content_type = sys.argv[1:]
    settings = importlib.import_module(f"{package}.cli").ServeSettings(
        bundle=Path(bundle), prediction_log="sqlite:///log.db"
    )
    command_line = loaded_packages()
    server = importlib.import_module("portfolio_shared.serving.server")
    server.limit_blas_threads()
    app = server.load_app(f"{package}.serving.app:create_app", settings)
    sys.modules["portfolio_shared.serving.app"].FIRST_LOOK_SECONDS = 60  # type: ignore[attr-defined]  # any machine
    status, body = asyncio.run(ask(app, path, content_type, sys.stdin.buffer.read()))
    answered = {
        "status": status,
        "body": body,
        "command_line": command_line,
        "service": loaded_packages(),
        "blas_threads": os.environ["OPENBLAS_NUM_THREADS"],
    }
    sys.stdout.write(json.dumps(answered) + "\n")


if __name__ == "__main__":
    main()
