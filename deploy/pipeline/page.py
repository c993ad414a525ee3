"""Dagster's page, for the browser that opened it: `dagster-webserver` with a guard in front.

By itself it answers by any name, and takes a mutation as the address of a picture: a foreign page in the same browser
could start a training or cancel one.
"""

import sys
from urllib.parse import urlsplit

from dagster_webserver.cli import main
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = {"127.0.0.1", "localhost"}


class Guard:
    """Refuses what comes by another name, or from a page of somebody else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or close the connection of a WebSocket, unless it may pass."""
        if scope["type"] == "lifespan" or may_pass(scope):
            await self.app(scope, receive, unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("This page answers to 127.0.0.1 and localhost, and to itself.", 403)
            await refusal(scope, receive, send)


def unframed(send: Send) -> Send:
    """Return what sends the same, and tells a browser to show it in no other page's frame."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-frame-options", b"SAMEORIGIN")]}
        await send(message)

    return sent


def may_pass(scope: Scope) -> bool:
    """Return whether a request is by a name of this machine, and of the page itself or of a person who opens it.

    Who opens it by a link elsewhere gets a page, but no answer of GraphQL, whose questions an address can hold.
    """
    headers = Headers(scope=scope)
    host, origin = headers.get("host", ""), headers.get("origin")
    if urlsplit(f"//{host}").hostname not in NAMES or (origin is not None and urlsplit(origin).netloc != host):
        return False
    asked = {name: headers.get(f"sec-fetch-{name}") for name in ("mode", "dest")}
    opened = scope.get("method") == "GET" and asked == {"mode": "navigate", "dest": "document"}
    if opened and not scope["path"].rstrip("/").endswith("graphql"):
        return True
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def guarded(server: DagsterWebserver) -> list[Middleware]:
    """Return the server's own middleware behind the guard."""
    return [Middleware(Guard), *OWN(server)]


OWN = DagsterWebserver.build_middleware

if __name__ == "__main__":
    DagsterWebserver.build_middleware = guarded  # type: ignore[method-assign]
    sys.exit(main())
