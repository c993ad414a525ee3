"""Bounds of a request that its schema states and that a body cannot make dear: length first, then the first errors.

Own code, because pydantic looks at the items of a list before its length, and makes the errors of all of them. Needs
pydantic alone, as schemas do.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

MAX_ERRORS = 50
"""Errors of a request that are listed; the check ends soon after."""
MAX_BUILT = 200
"""Errors that are made at all: only objects with as many unknown fields have more."""
TOO_MANY = "too_many"
"""Type of the error of a list that is longer than a setting allows."""

_KNOWN = frozenset(get_args(core_schema.ErrorType))


@dataclass(frozen=True)
class Items:
    """How many items a list of a request may have: ``Annotated[list[House], Items(1, 1000)]``.

    A list that is too long is refused before an item is looked at, and the check of one that is not ends when more than
    `MAX_ERRORS` errors are found.

    Attributes
    ----------
    least, most
        Bounds of the length that the schema knows.
    setting
        Name of a setting that bounds it too, where the validation has ``context={"settings": ...}``.
    instead
        Type of an error -> the one that is told in its place.
    quick
        Reads a list that is mostly right in less time, or raises ValidationError: then the schema reads it.
    """

    least: int | None = None
    most: int | None = None
    setting: str | None = None
    instead: Mapping[str, PydanticCustomError] = field(default_factory=dict, hash=False)
    quick: Callable[[object], object] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the schema of a list."""
        bounds = {"min_length": self.least, "max_length": self.most}
        known = {name: bound for name, bound in bounds.items() if bound is not None}
        schema: Any = {**handler(source), "fail_fast": True, **known}
        return core_schema.with_info_wrap_validator_function(self._read, schema)

    def _read(self, value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        if not isinstance(value, list):
            return read(value)
        self._check_length(len(value), setting_of(info, self.setting))
        if self.quick is not None:
            with suppress(ValidationError):
                return self.quick(value)
        try:
            return read(value)
        except ValidationError as error:
            if error.error_count() > MAX_BUILT:
                raise
            lines = [self._line(line, 0) for line in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, self._with_others(value, read, lines)) from None

    def _check_length(self, length: int, limit: int | None) -> None:
        if limit is not None and length > limit:
            bound = {"max_length": limit, "actual_length": length}
            raise PydanticCustomError(TOO_MANY, "Expected at most {max_length}, not {actual_length}", bound)
        if self.most is not None and length > self.most:
            known: dict[str, Any] = {"field_type": "List", "max_length": self.most, "actual_length": length}
            raise PydanticKnownError("too_long", known)

    def _with_others(
        self, value: list[Any], read: ValidatorFunctionWrapHandler, lines: list[InitErrorDetails]
    ) -> list[InitErrorDetails]:
        """Return the errors of the first item that has some, and of those after it until there are enough."""
        while lines[-1].get("loc") and len(lines) <= MAX_ERRORS:
            start = int(lines[-1]["loc"][0]) + 1
            if len(value) - start < max(self.least or 0, 1):  # what is left would be too short a list
                break
            try:
                read(value[start:])
            except ValidationError as error:
                if error.error_count() > MAX_BUILT:
                    break
                lines += [self._line(line, start) for line in error.errors(include_url=False)]
            else:
                break
        return lines

    def _line(self, line: ErrorDetails, start: int) -> InitErrorDetails:
        """Return an error of a part of the list that begins at `start` as one of the whole."""
        kind, context, loc = line["type"], line.get("ctx", {}), line["loc"]
        moved = (int(loc[0]) + start, *loc[1:]) if loc else loc
        if len(loc) == 1 and kind in self.instead:
            return {"type": self.instead[kind], "loc": moved, "input": line["input"]}
        told = kind if kind in _KNOWN else PydanticCustomError(kind, line["msg"], context)
        return {"type": told, "loc": moved, "input": line["input"], "ctx": context}


@dataclass(frozen=True)
class AtMost:
    """The setting that a number may not exceed, where the validation has ``context={"settings": ...}``."""

    setting: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Look at the number after its own schema has."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float, info: ValidationInfo) -> float:
        limit = setting_of(info, self.setting)
        if limit is not None and value > limit:
            raise PydanticKnownError("less_than_equal", {"le": limit})
        return value


def setting_of(info: ValidationInfo, name: str | None) -> int | None:
    """Return a setting of the service that validates, None if it is none or has no such setting."""
    if name is None or info.context is None:
        return None
    value: int | None = getattr(info.context["settings"], name)
    return value
