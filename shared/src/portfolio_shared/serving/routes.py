"""Routes: strict JSON bodies, and the template of the path that a request asked for."""

from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

UNMATCHED = "unmatched"  # label of requests to paths that do not exist: never the path, there is no end of those


class StrictRequest(Request):
    """A request whose body is JSON as RFC 8259 defines it: no NaN, no Infinity, no nesting without end.

    The parser is pydantic's, which takes half the time of the standard library's on a large body.
    """

    async def json(self) -> Any:
        """Parse the body, or refuse it with 400 and the place of the first mistake."""
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(400, f"The body is not valid JSON: {error}.") from error


class StrictRoute(APIRoute):
    """A route that reads its body through `StrictRequest`: ``APIRouter(prefix="/v1", route_class=StrictRoute)``.

    Numbers such as 1e999 are valid JSON and become infinite: schemas refuse those with ``allow_inf_nan=False``.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler, as its documentation on custom requests describes."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


class RouteTable:
    """What paths an app has: route templates for logs and metrics, allowed methods for 405.

    Built when the app starts, because routes may be added until then.
    """

    def __init__(self) -> None:
        self._routes: list[Any] = []
        self._templates: dict[object, str] = {}

    def build(self, app: FastAPI) -> None:
        """Read the routes of the app."""
        self._routes = [route for route in iter_route_contexts(app.routes) if route.path_format is not None]
        self._templates = {route.endpoint: str(route.path_format) for route in self._routes if route.endpoint}

    def template(self, scope: MutableMapping[str, Any]) -> str:
        """Give the template of a request's path, such as ``/v1/users/{user_id}``, or `UNMATCHED`."""
        template = self._templates.get(scope.get("endpoint"))  # set by the router
        if template is not None:
            return template
        # Requests that are refused before the router sees them, mounted folders, and paths that do not exist.
        return next((str(route.path_format) for route in self._at(scope)), UNMATCHED)

    def allowed(self, scope: MutableMapping[str, Any]) -> str:
        """List the methods that the routes at a request's path accept, as the Allow header wants them."""
        return ", ".join(sorted({method for route in self._at(scope) for method in route.methods or ()}))

    def _at(self, scope: MutableMapping[str, Any]) -> list[Any]:
        return [route for route in self._routes if route.path_regex.match(scope["path"])]
