"""An app asked without a server: what the challenger says to a request that was mirrored."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, get_type_hints

from fastapi import FastAPI
from starlette.types import Message

from portfolio_shared.serving.models import CHALLENGER, ModelNotReady
from portfolio_shared.serving.prediction_log import OFF
from portfolio_shared.serving.settings import ServiceSettings

_log = logging.getLogger(__name__)

HTTP_OK = 200
HOST = ("host", "localhost")  # a name that every service answers to
LONGEST_SECONDS = 60  # of the processor, for one answer; then the kernel ends the process,
LONGEST_WAIT_SECONDS = 1800  # or by the clock: on cores that others fill, 60 s of work take as long


class Answer(NamedTuple):
    """What became of a request; a version where there is an answer in the form of the log."""

    outcome: str
    version: str = ""
    response: bytes = b""


async def answer_of(app: FastAPI, request: Mapping[str, Any], body: bytes) -> Answer:
    """Ask the app, and return its answer in the form of the log."""
    try:
        version = app.state.rollout.models.current().version
    except ModelNotReady:
        return Answer("no_challenger")
    if version == request["champion"]:  # promoted since
        return Answer("no_challenger")
    arriving = [{"type": "http.request", "body": body, "more_body": False}]
    status = 0
    parts: list[bytes] = []
    state: dict[str, Any] = {}

    async def receive() -> Message:
        return arriving.pop() if arriving else await asyncio.Future()  # nobody goes away

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    try:
        await app(scope_of(request, state), receive, send)
    except Exception:  # noqa: BLE001 - its answer had begun; otherwise the app has logged it, and answered 500
        _log.exception("the challenger failed")
        return Answer("failed")
    version, items = state.get("predicted", ("", 0))
    if status != HTTP_OK or not items:
        return Answer("failed")
    _, answered = state.get("logged_bodies") or (b"", b"".join(parts))
    return Answer("answered", version, answered)


def scope_of(request: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a request that was mirrored, as a server would have it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": request["path"],
        "raw_path": request["path"].encode(),
        "query_string": request["query"].encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [HOST, *request["headers"]]],
        "client": None,
        "server": None,
        "state": state,
    }


def app_of(factory: str, settings: dict[str, Any]) -> FastAPI:
    """Make the service's app, with its settings, for the challenger alone."""
    module, _, function = factory.partition(":")
    create_app: Callable[[ServiceSettings], FastAPI] = getattr(import_module(module), function)
    kind: type[ServiceSettings] = next(iter(get_type_hints(create_app).values()))
    changed = {"rollout": "off", "prediction_log": OFF, "trace_uri": "", "start_page": "", "bundle": None}
    alone = {"model_alias": CHALLENGER, "request_timeout_seconds": 2 * LONGEST_WAIT_SECONDS, "rate_limit": 0}
    app = create_app(kind(**settings | changed | alone))
    app.state.rollout.models.stand_beside()
    return app
