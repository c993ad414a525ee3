"""One row as the API takes it: the fields are the columns of `columns.toml`, and each may be left out."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from new_project.data.columns import Column, Record, schema

Code = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


class Reading(BaseModel):
    """A misspelt name must not be taken for a missing one; a column may be called `model` or `json`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def _field(column: Column) -> tuple[Any, Any]:
    example = schema().example.get(column.name)
    about: dict[str, Any] = {"default": None, "title": column.label, "examples": [example]}
    if column.kind == "number":
        return Annotated[float, Field(strict=True, allow_inf_nan=False)] | None, Field(**about)
    # As a cell of a file: without spaces around it, and "?" or "n/a" is not known.
    read = AfterValidator(partial(column.value, decimal="."))
    if column.kind == "date":
        about["description"] = "ISO 8601"
    return Annotated[Code, read] | None, Field(**about)


if TYPE_CHECKING:

    class Row(Reading):
        """The type checker's view: the fields themselves come from `columns.toml`."""
else:
    Row = create_model(
        "Row",
        __base__=Reading,
        __doc__="One row; what is left out is filled, and said.",
        **{column.name: _field(column) for column in schema().columns},
    )


def record_of_row(row: Row) -> Record:
    """Return a row as the model takes it."""
    return row.model_dump()


def record_in(given: object) -> Record:
    """Return the row in what a request had, put right as it was then."""
    return record_of_row(Row.model_validate(given))
