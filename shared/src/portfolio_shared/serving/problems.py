"""Errors as RFC 9457 problem details with the field and its bound, which the packages for the RFC do not carry.

One JSON shape for every refusal, from a missing field to a full service.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.responses import Response

from portfolio_shared.serving.bounds import MAX_ERRORS, TOO_MANY

MEDIA_TYPE = "application/problem+json"
MAX_ECHO = 100  # characters of a refused value that are sent back
_LARGEST_EXACT = 2**53  # above it JavaScript rounds whole numbers, so they are sent back as text

# RFC 9110 renamed these; Python 3.11 and 3.12 still have the older phrases.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldError:
    """One value of a request that is refused.

    Attributes
    ----------
    field
        Where it is, as a dotted path into the body: ``houses.0.year_built``.
    message
        What was expected, for a person.
    value
        The refused value; long ones are cut (see `echo`).
    bound
        What was expected, for a program: ``{"ge": 1872}``.
    code
        Which rule it breaks, for a program, where a value can break several and a bound does not tell them apart.
    """

    field: str
    message: str
    value: Any = None
    bound: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    code: str | None = None


class ProblemError(HTTPException):
    """Raise this anywhere in a request to answer with a problem.

    It is an HTTPException because FastAPI turns every other exception that is raised while it reads a body into 400.

    Parameters
    ----------
    status
        HTTP status code, 400 or above; its `phrase` is the title.
    detail
        What happened this time and what the client can do about it.
    errors
        The values that are refused, if the problem is about values.
    headers
        Sent with the response, such as Retry-After.
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[FieldError] = (), *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status_code=status, detail=detail, headers=headers)
        self.errors = tuple(errors)


def phrase(status: int) -> str:
    """Give the standard title of a status code.

    >>> phrase(422), phrase(503)
    ('Unprocessable Content', 'Service Unavailable')
    """
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def unprocessable(errors: Sequence[FieldError]) -> ProblemError:
    """Build the 422 that bad values get, for business rules that a schema cannot express.

    >>> rule = FieldError(field="houses.0.year_remod_add", value=1950, message="Before the house was built in 1960")
    >>> unprocessable([rule]).detail
    '1 value is refused. houses.0.year_remod_add: Before the house was built in 1960'
    """
    count = "1 value is refused" if len(errors) == 1 else f"{len(errors)} values are refused"
    if len(errors) > MAX_ERRORS:
        count = f"More than {MAX_ERRORS} values are refused (the first {MAX_ERRORS} are listed)"
    detail = f"{count}. {echo(errors[0].field)}: {errors[0].message}"
    return ProblemError(422, detail, errors[:MAX_ERRORS])


def field_errors(errors: Iterable[Mapping[str, Any]], *, whole: str = "", below: int = 0) -> list[FieldError]:
    """Translate what pydantic says, as `ValidationError.errors` lists it; missing fields and long lists have no value.

    Parameters
    ----------
    whole
        Field of an error that has no path.
    below
        How many parts of a path are left out at its beginning, if more follow.
    """
    return [
        FieldError(
            field=".".join(str(part) for part in item["loc"][below:] or item["loc"]) or whole,
            message=item["msg"].removeprefix("Value error, "),
            value=None if item["type"] in ("missing", TOO_MANY) else item["input"],
            bound={key: bound for key, bound in item.get("ctx", {}).items() if key != "error"},
        )
        for item in errors
    ]


def listed(errors: Iterable[FieldError]) -> list[dict[str, JsonValue]]:
    """Return refused values as JSON."""
    return [
        {
            "field": echo(item.field),
            "message": item.message,
            "value": echo(item.value),
            "bound": {name: echo(bound) for name, bound in item.bound.items()},
        }
        | ({} if item.code is None else {"code": item.code})
        for item in errors
    ]


def echo(value: object) -> JsonValue:
    """Make a refused value safe to send back: valid JSON of at most `MAX_ECHO` characters.

    >>> echo(1871), echo(float("nan")), len(echo("x" * 10_000))
    (1871, 'nan', 100)
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) < _LARGEST_EXACT:
        return value
    if isinstance(value, list | dict):
        text = "".join(islice(_text(value), MAX_ECHO + 1))
    else:
        text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_ECHO else text[: MAX_ECHO - 3] + "..."


def _text(value: object) -> Iterator[str]:
    """Yield the pieces of a value as Python shows it, none empty: of a large one the first are enough."""
    if not isinstance(value, list | dict):
        yield repr(value[:MAX_ECHO] if isinstance(value, str) else value)
        return
    opening, closing = "[]" if isinstance(value, list) else "{}"
    yield opening
    for i, item in enumerate(value):
        if i:
            yield ", "
        yield from _text(item)
        if isinstance(value, dict):
            yield ": "
            yield from _text(value[item])
    yield closing


def problem_response(error: ProblemError, request_id: str) -> Response:
    """Render a problem. `instance` is the request id, which is also in the log line of the request."""
    problem: dict[str, Any] = {
        "type": "about:blank",  # RFC 9457, 4.2.1: the status says it all
        "title": phrase(error.status_code),
        "status": error.status_code,
        "detail": error.detail,
        "instance": request_id,
    }
    if error.errors:
        problem["errors"] = listed(error.errors)
    # ASCII only: a lone surrogate in an echoed string has no UTF-8 form, and must not turn a 422 into a 500.
    content = json.dumps(problem, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Response(content, error.status_code, headers=error.headers, media_type=MEDIA_TYPE)
