"""One house as callers give it: the fields come from `columns.toml`; `print(House.model_json_schema())` shows them.

The same check serves the API, CSV files and MLflow's table.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from housing.data.columns import Column, Record, columns
from housing.data.consistency import violations

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


class InvalidHouseError(ValueError):
    """A house with fields that are missing, unknown, out of bounds or contradictory; the message names each."""


def validated(fields: Mapping[str, object]) -> Record:
    """Return the fields as a record if a house can be like that; text such as "3" is read as a number, None is unknown.

    Raises
    ------
    InvalidHouseError
        If a field is missing, unknown or out of bounds, or fields contradict each other.
    """
    try:
        house = House.model_validate(fields)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])} = {item['input']!r}: {item['msg']}"
            if item["type"] != "missing"
            else f"{item['loc'][-1]} is missing"
            for item in error.errors(include_url=False)
        ]
        raise InvalidHouseError("; ".join(problems)) from None
    record: Record = house.model_dump(exclude_none=True)
    if broken := violations(record):
        raise InvalidHouseError(
            "; ".join(f"{it.field} = {it.value}: expected {it.rule}, here at most {it.limit:g}" for it in broken)
        )
    return record


def refuse_truth(value: object) -> object:
    """Refuse true and false where a number is asked for: pydantic would take them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")  # noqa: TRY004 - pydantic wants a ValueError
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
        kind, bounds["default"] = kind | None, None
    if column.is_numeric:
        kind = Annotated[kind, BeforeValidator(refuse_truth)]
    return kind, Field(**bounds)


if TYPE_CHECKING:

    class House(BaseModel):
        """The type checker's view: the fields themselves come from the column table."""
else:
    House = create_model(
        "House",
        __config__=ConfigDict(extra="forbid"),  # a misspelt name must not be taken for a missing one
        __doc__="One house; what is left out is filled, and reported.",
        **{name: _field(column) for name, column in columns().items()},
    )
