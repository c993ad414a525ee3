"""Which exception becomes which problem, and how /docs describes problems."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.responses import Response

from portfolio_shared.serving.models import ModelNotReady
from portfolio_shared.serving.problems import (
    MEDIA_TYPE,
    ProblemError,
    echo,
    field_errors,
    phrase,
    problem_response,
    unprocessable,
)
from portfolio_shared.serving.routes import RouteTable

_HINTS = {
    404: "There is nothing at this path. /docs lists the paths of this service.",
    405: "This path does not accept this method. The Allow header lists the ones it does.",
}


def install_problem_handlers(app: FastAPI, table: RouteTable) -> None:
    """Answer every exception that a request can raise, except unexpected ones, with a problem."""

    def respond(request: Request, error: ProblemError) -> Response:
        return problem_response(error, request.state.request_id)

    async def on_http(request: Request, error: HTTPException) -> Response:
        if isinstance(error, ProblemError):
            return respond(request, error)
        if not is_body_allowed_for_status_code(error.status_code):
            return Response(status_code=error.status_code, headers=error.headers)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := table.allowed(request.scope)):
            headers["Allow"] = allowed  # of all routes at this path; the exception knows only one of them
        standard = error.detail in (phrase(error.status_code), HTTPStatus(error.status_code).phrase)
        detail = _HINTS.get(error.status_code, error.detail) if standard else str(error.detail)
        return respond(request, ProblemError(error.status_code, detail, headers=headers))

    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes):  # FastAPI leaves a body unparsed only if its content type is not JSON
            content_type = request.headers.get("content-type", "no content type")
            detail = f"The body is {echo(content_type)}. Send JSON with Content-Type: application/json."
            return respond(request, ProblemError(415, detail))
        return respond(request, unprocessable(field_errors(error.errors(), below=1)))

    async def on_not_ready(request: Request, error: ModelNotReady) -> Response:
        return respond(request, ProblemError(503, str(error), headers={"Retry-After": "5"}))

    app.exception_handlers |= {
        HTTPException: on_http,
        RequestValidationError: on_invalid,
        ModelNotReady: on_not_ready,
    }


def _text(description: str) -> dict[str, JsonValue]:
    return {"type": "string", "description": description}


# What FastAPI shows in /docs for every route of a project, in place of its own 422.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "The request is refused: problem details, RFC 9457",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "title": "Problem",
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "instance"],
                    "properties": {
                        "type": _text("always about:blank"),
                        "title": _text("the same for every problem of this status"),
                        "status": {"type": "integer"},
                        "detail": _text("what happened and what to do"),
                        "instance": _text("id of the request"),
                        "errors": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["field", "message", "value", "bound"],
                                "properties": {
                                    "field": _text("path of the refused value, such as houses.0.year_built"),
                                    "message": _text("what was expected"),
                                    "value": {"description": "the refused value, cut when long"},
                                    "bound": {"type": "object", "description": "the bound, such as ge or expected"},
                                    "code": _text("which rule is broken, where values can break several"),
                                },
                            },
                        },
                    },
                }
            }
        },
    }
}
