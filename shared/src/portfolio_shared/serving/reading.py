"""JSON bodies: parsed and checked, large ones in a thread of their own, so that others are answered meanwhile."""

import asyncio
import codecs
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from portfolio_shared.serving.bounds import MAX_BUILT
from portfolio_shared.serving.problems import FieldError, ProblemError, field_errors, unprocessable

LARGE = 12_000
"""Bytes of a body of which parsing and checking can take more than a millisecond; a thread costs a tenth of that."""
MAX_PARTS = 200_000
"""Lists, objects and fields of a body: the parser holds the interpreter's lock, 50 ms for so many."""

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # the mark of UTF-32 begins with the first, or with zeros

# One thread: what a large body takes in memory while it is read is then taken once, whoever sends how many.
_thread = ThreadPoolExecutor(1, thread_name_prefix="read")


async def read_body(body: bytes, check: Callable[..., Any] | None, settings: Any) -> Any:
    """Return what a body holds, as `read` does, without holding up the event loop; 503 if its turn does not come."""
    if len(body) <= LARGE:
        return read(body, check, settings)
    seconds = settings.request_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().run_in_executor(_thread, read, body, check, settings)
    except TimeoutError:
        detail = f"The body was not read within {seconds:g} s: other large ones are. Send less, or try again later."
        raise ProblemError(503, detail, headers={"Retry-After": "1"}) from None


def read(body: bytes, check: Callable[..., Any] | None, settings: Any = None, *, what: str = "body") -> Any:
    """Parse JSON as RFC 8259 defines it, and check it: UTF-8, no NaN, no Infinity, no nesting without end.

    The parser is pydantic's, which takes half the time of the standard library's on a large body.

    Parameters
    ----------
    check
        `model_validate` of a schema; None: what was parsed is returned unchecked.
    settings
        Whose limits hold beside those of the schema.
    what
        What the JSON is called in problems.

    Raises
    ------
    ProblemError
        400 with the place of the first mistake, 413 for too many parts, 422 with the first errors.
    """
    if len(body) > MAX_PARTS and sum(map(body.count, (b"[", b"{", b":"))) > MAX_PARTS:
        detail = f"The {what} has more than {MAX_PARTS:,} lists, objects and fields. Split it into smaller requests."
        raise ProblemError(413, detail)
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError(400, f"The {what} is not valid JSON: {error}.{foreign_encoding(body)}") from None
    if check is None:
        return given
    try:
        return check(given, context=None if settings is None else {"settings": settings})
    except ValidationError as error:
        raise unprocessable(errors_of(error, given, whole=what)) from None


def errors_of(error: ValidationError, given: Any, *, whole: str) -> list[FieldError]:
    """Translate what pydantic says; of more than `MAX_BUILT` errors, name the object that has too many fields."""
    if error.error_count() <= MAX_BUILT:
        return field_errors(error.errors(include_url=False), whole=whole)
    for place, fields in _crowded(given):
        bound = {"max_length": MAX_BUILT, "actual_length": fields}
        return [FieldError(field=place or whole, message=f"Expected at most {MAX_BUILT} fields", bound=bound)]
    return [FieldError(field=whole, message=f"More than {MAX_BUILT} values are refused")]


def _crowded(given: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """Yield where objects with too many fields are, and how many these are."""
    if isinstance(given, dict) and len(given) > MAX_BUILT:
        yield place, len(given)
    elif isinstance(given, dict | list):
        for name, part in given.items() if isinstance(given, dict) else enumerate(given):
            yield from _crowded(part, f"{place}.{name}" if place else str(name))


def foreign_encoding(body: bytes) -> str:
    """Say what is wrong with the encoding of a body, if anything is."""
    if body.startswith(_WIDE) or b"\0" in body[:4]:
        return " It is UTF-16 or UTF-32: send UTF-8."
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f" It is not UTF-8: see byte {error.start + 1}."
    return ""
