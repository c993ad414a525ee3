"""One house as callers give it: the fields come from `columns.toml`; `print(House.model_json_schema())` shows them.

The same check serves the API, CSV files and MLflow's table.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails

from housing.data.cells import Ambiguous, meanings
from housing.data.columns import Column, Record, columns
from housing.data.consistency import violations
from housing.data.repair import Repaired, repair

EXAMPLE: Record = {
    "neighborhood": "CollgCr",
    "year_built": 2003,
    "overall_qual": 7,
    "overall_cond": 5,
    "gr_liv_area": 1710,
    "lot_area": 8450,
    "total_bsmt_sf": 856,
    "full_bath": 2,
    "bedroom_abv_gr": 3,
    "garage_cars": 2,
}
"""A house with the required fields alone."""


def sparsely(record: Record) -> Record:
    """Return the required fields alone."""
    return {name: record[name] for name, column in columns().items() if column.required}


def house_key(record: Record) -> str:
    """Return what a house is known by where no parcel is named: its required fields."""
    return json.dumps([float(value) if isinstance(value, int) else value for value in sparsely(record).values()])


class InvalidHouseError(ValueError):
    """A house with fields that are missing, unknown, out of bounds or contradictory; the message names each."""


def validated(fields: Mapping[str, object], headings: Mapping[str, str] | None = None) -> Record:
    """Return the fields as a record if a house can be like that: repaired, with numbers for text such as "3".

    Parameters
    ----------
    headings
        What the fields are called where they come from, if not by their names.

    Raises
    ------
    InvalidHouseError
        If a field is missing, unknown or out of bounds, or fields contradict each other.
    """
    try:
        house = House.model_validate(fields)
    except ValidationError as error:
        problems = (_problem(item, headings or {}) for item in error.errors(include_url=False))
        raise InvalidHouseError("; ".join(problems)) from None
    record: Record = house.model_dump(exclude_none=True)
    if broken := violations(record):
        called = headings or {}
        rules = (
            f"{called.get(it.field, it.field)} = {it.value}: expected {it.rule}, here at most {it.limit:g}"
            for it in broken
        )
        raise InvalidHouseError("; ".join(rules))
    return record


def _problem(error: ErrorDetails, headings: Mapping[str, str]) -> str:
    """Say what is wrong with one field, and what is expected of it."""
    name, given = str(error["loc"][0]), error["input"]
    heading, column = headings.get(name, name), columns().get(name)
    if column is None:
        return f"{heading} = {given!r}: no field of a house"
    if error["type"] == "missing" or given is None:
        return f"{heading} is missing: expected {column.expected}"
    if isinstance(given, Ambiguous):
        return f"{heading} = {given!r}: {error['msg'].removeprefix('Value error, ')}"
    return f"{heading} = {given!r}: expected {column.expected}"


def refuse_what_is_no_number(value: object) -> object:
    """Refuse true and false, which pydantic would take for 1 and 0, and numbers that may be two."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")  # noqa: TRY004 - pydantic wants a ValueError
    if isinstance(value, Ambiguous):
        message = "a comma or a point may stand between thousands or before decimals: write 1710 or 1710.5"
        raise ValueError(message)  # noqa: TRY004
    return value


def _field(column: Column) -> tuple[Any, Any]:
    """Return the (type, default) that pydantic's `create_model` takes for one column."""
    kind: Any = int if column.kind == "integer" else float
    if column.choices:
        literal: Any = Literal  # subscripted with the table's codes, which mypy cannot follow
        kind = literal[tuple(column.choices)]
    about = ". ".join(
        part for part in (column.label, column.help.rstrip("."), column.unit and f"In {column.unit}") if part
    )
    bounds: dict[str, Any] = {"description": about, "ge": column.minimum, "le": column.maximum}
    if column.kind == "number":
        bounds["allow_inf_nan"] = False
    if not column.required:
        bounds["default"] = None
    if column.nullable or not column.required:
        kind = kind | None
    if column.is_numeric:
        kind = Annotated[kind, BeforeValidator(refuse_what_is_no_number)]
    return kind, Field(**bounds)


class Reading(BaseModel):
    """A house whose fields are read and put right before they are checked."""

    model_config = ConfigDict(extra="forbid")  # a misspelt name must not be taken for a missing one

    _repaired: list[Repaired] = PrivateAttr(default_factory=list)

    @property
    def repaired(self) -> list[Repaired]:
        """What was not taken as it was given."""
        private = self.__pydantic_private__ or {"_repaired": []}  # by name it takes twenty times as long
        repaired: list[Repaired] = private["_repaired"]
        return repaired

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, given: Any, check: ModelWrapValidatorHandler["Reading"]) -> "Reading":
        if not isinstance(given, dict):
            return check(given)
        fields = meanings(given)
        repaired = repair(fields)
        house = check(fields)
        if repaired:
            house._repaired = repaired  # noqa: SLF001 - a private attribute of pydantic is no field
        return house


if TYPE_CHECKING:

    class House(Reading):
        """The type checker's view: the fields themselves come from the column table."""
else:
    House = create_model(
        "House",
        __base__=Reading,
        __doc__="One house; what is left out is filled, what contradicts itself is put right, and both are reported.",
        **{name: _field(column) for name, column in columns().items()},
    )
