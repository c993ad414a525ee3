"""Routes: strict JSON bodies and queries, and the template of the path that a request asked for."""

import codecs
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp

from portfolio_shared.serving.bounds import MAX_ERRORS
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.reading import read_body

JSON_CONTENT = (b"content-type", b"application/json")
UNMATCHED = "unmatched"  # label of requests to paths that do not exist: never the path, there is no end of those


class StrictRequest(Request):
    """A request whose body is JSON as RFC 8259 defines it: UTF-8, no NaN, no Infinity, no nesting without end."""

    async def body(self) -> bytes:
        """Receive the whole body, which mostly comes in one message."""
        if not hasattr(self, "_body"):
            parts, more = [], True
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """Return what the body holds, checked by the schema of the route, or raise `ProblemError`; see `read`."""
        body = (await self.body()).removeprefix(codecs.BOM_UTF8)
        self.state.body = body  # for the prediction log
        field = self.scope["route"].body_field
        schema = None if field is None else field.field_info.annotation.model_validate
        return await read_body(body, schema, self.app.state.settings)


class StrictRoute(APIRoute):
    """A route that reads its body through `StrictRequest`: ``APIRouter(prefix="/v1", route_class=StrictRoute)``.

    Numbers such as 1e999 are valid JSON and become infinite: schemas refuse those with ``allow_inf_nan=False``. A
    parameter of the query that is unknown or comes twice is refused; a list is one parameter, with commas.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler, as its documentation on custom requests describes."""
        handle = super().get_route_handler()
        known = frozenset(query_parameters(self.dependant))

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            refuse_ignored_parameters(strict, known)
            return await handle(strict)

        return handle_strictly


def query_parameters(dependant: Dependant) -> Iterator[str]:
    """Yield the names of a route's parameters in the query, those of its dependencies and models included."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (parameter.alias or name for name, parameter in annotation.model_fields.items())
        else:
            yield field.alias
    for dependency in dependant.dependencies:
        yield from query_parameters(dependency)


def refuse_ignored_parameters(request: Request, known: AbstractSet[str] = frozenset()) -> None:
    """Answer 422 for parameters of the query that would be ignored in silence: those not `known`, and repeated ones."""
    if not request.scope["query_string"]:
        return
    names = Counter(name for name, _ in request.query_params.multi_items())
    errors: list[FieldError] = []
    for name, times in names.items():
        if len(errors) > MAX_ERRORS or (name in known and times == 1):
            continue
        expected = f"expected {' or '.join(sorted(known))}" if known else "this path has none"
        message = "Expected once only" if name in known else f"Unknown parameter of the query: {expected}"
        bound = {"expected": sorted(known)}
        errors.append(FieldError(field=name, message=message, value=request.query_params[name], bound=bound))
    if errors:
        raise unprocessable(errors)


class RouteTable:
    """What paths an app has: route templates for logs and metrics, allowed methods for 405.

    Built when the app starts, because routes may be added until then.
    """

    def __init__(self) -> None:
        self._routes: list[Any] = []
        self._templates: dict[object, str] = {}
        self._direct: dict[tuple[str, str], tuple[ASGIApp, bool]] = {}

    def build(self, app: FastAPI, direct: Callable[[FastAPI, Any], ASGIApp | None]) -> None:
        """Read the routes of the app; `direct` returns what answers one without FastAPI's stack, if that suffices."""
        self._routes = [route for route in iter_route_contexts(app.routes) if route.path_format is not None]
        self._templates = {route.endpoint: str(route.path_format) for route in self._routes if route.endpoint}
        for route in self._routes:
            if (answer := direct(app, route)) is not None:
                found = answer, bool(route.dependant.body_params)
                self._direct |= {(method, str(route.path_format)): found for method in route.methods}

    def direct(self, scope: MutableMapping[str, Any]) -> ASGIApp | None:
        """Give what answers a request without FastAPI's stack, if its route needs no more and its body is JSON."""
        answer, reads_json = self._direct.get((scope["method"], path_of(scope)), (None, False))
        return answer if not reads_json or JSON_CONTENT in scope["headers"] else None

    def template(self, scope: MutableMapping[str, Any]) -> str:
        """Give the template of a request's path, such as ``/v1/users/{user_id}``, or `UNMATCHED`."""
        template = self._templates.get(scope.get("endpoint"))  # set by the router
        if template is not None:
            return template
        # Requests that are refused before the router sees them, mounted folders, and paths that do not exist.
        return next((str(route.path_format) for route in self._at(scope)), UNMATCHED)

    def allowed(self, scope: MutableMapping[str, Any]) -> str:
        """List the methods that a request's path accepts, as the Allow header wants them; every GET answers HEAD."""
        methods = {method for route in self._at(scope) for method in route.methods or ()}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))

    def _at(self, scope: MutableMapping[str, Any]) -> list[Any]:
        path = path_of(scope)
        return [route for route in self._routes if route.path_regex.match(path)]


def path_of(scope: MutableMapping[str, Any]) -> str:
    """Give the path of a request below the prefix that a server or an app around this one names in `root_path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
