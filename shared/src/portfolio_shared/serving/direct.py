"""Routes that need little are answered without FastAPI's stack, which takes longer than a house takes to price.

FastAPI tries its routes twice, opens three stacks of what is to be closed, and solves dependencies by description. A
route that takes a JSON body, the request and the model is called as it stands; FastAPI still describes it in /docs.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import RouteContext
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from portfolio_shared.serving.dependencies import loaded_model
from portfolio_shared.serving.routes import JSON_CONTENT, StrictRequest, StrictRoute, refuse_ignored_parameters

_MISSING = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}


def direct(app: FastAPI, route: RouteContext) -> ASGIApp | None:
    """Return what answers a route in place of FastAPI's stack, or None if the route needs more of it."""
    returned = getattr(route, "response_model", None)
    if not _is_plain(route) or not (isinstance(returned, type) and issubclass(returned, BaseModel)):
        return None
    content_of, handlers = _content_of(route.dependant, returned), app.exception_handlers

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["endpoint"], scope["route"] = route.endpoint, route.original_route  # as the router says
        request = StrictRequest(scope, receive)
        try:
            refuse_ignored_parameters(request)
            content = await content_of(request)
        except Exception as error:
            handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)  # type: ignore[misc]  # all of ours are coroutines
            await response(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(content)), JSON_CONTENT]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


def _is_plain(route: RouteContext) -> bool:
    """Whether a route takes a JSON body, the request, the model, or a part of these, and nothing else."""
    if not isinstance(route.original_route, StrictRoute) or route.status_code is not None:
        return False
    takes: Dependant = route.dependant
    others = (takes.path_params, takes.query_params, takes.header_params, takes.cookie_params)
    names = (takes.response_param_name, takes.background_tasks_param_name, takes.http_connection_param_name)
    models = [each.call is loaded_model for each in takes.dependencies]
    infos = [each.field_info for each in takes.body_params]
    bodies = [info.is_required() and not isinstance(info, params.Form) for info in infos]
    return models in ([], [True]) and bodies in ([], [True]) and not any(others) and not any(names)


def _content_of(takes: Dependant, returned: type[BaseModel]) -> Callable[[StrictRequest], Awaitable[bytes]]:
    """Return what calls a function with what it takes of a request, and writes what it returns as JSON."""
    call, request_name, to_json = takes.call, takes.request_param_name, returned.__pydantic_serializer__.to_json
    body = next(iter(takes.body_params), None)
    model_name = next((each.name for each in takes.dependencies), None)
    assert call is not None  # noqa: S101 - FastAPI's type allows it

    async def content_of(request: StrictRequest) -> bytes:
        values: dict[str, Any] = {} if request_name is None else {request_name: request}
        given = await request.json() if body is not None and await request.body() else None
        if model_name is not None:
            values[model_name] = await loaded_model(request)
        if body is not None:
            missing = not await request.body()
            values[body.name], errors = (None, [_MISSING]) if missing else body.validate(given, {}, loc=("body",))
            if errors:
                raise RequestValidationError(errors, body=given)
        result = await call(**values)
        if result.__class__ is Response:  # JSON that the route has written itself
            return bytes(result.body)
        if result.__class__ is not returned:
            raise TypeError(f"{takes.path} promises {returned.__name__}, not {type(result).__name__}")
        return to_json(result, by_alias=True)

    return content_of
