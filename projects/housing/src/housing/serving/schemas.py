"""What the API accepts and returns: bounds, units and examples, from the column table."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from housing.data.columns import Column, Record, columns
from housing.models.predictor import PredictedHouse
from portfolio_shared.serving.answers import ModelName

MAX_HOUSES = 1000

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


class Strict(BaseModel):
    """Unknown fields are refused: a misspelt name must not be taken for a missing one."""

    model_config = ConfigDict(extra="forbid")


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

    class House(Strict):
        """The type checker's view: the fields themselves come from the column table."""
else:
    House = create_model(
        "House",
        __base__=Strict,
        __doc__="One house; what is left out is filled, and reported.",
        **{name: _field(column) for name, column in columns().items()},
    )


class PredictionRequest(Strict):
    """One to a thousand houses to price."""

    houses: list[House] = Field(min_length=1, max_length=MAX_HOUSES, examples=[[EXAMPLE]])
    explain: bool = Field(default=False, description="Also return contributions and comparable sales")


class PredictionResponse(BaseModel):
    """Predictions in the order of the request's houses."""

    id: str = Field(description="The request's id, also in the header X-Request-ID")
    model: ModelName
    predictions: list[PredictedHouse]


class FieldChoice(BaseModel):
    """One code of a category."""

    code: str
    label: str


class FieldDescription(BaseModel):
    """What a form needs to know of one field."""

    name: str
    label: str
    help: str
    unit: str | None
    kind: Literal["integer", "number", "category", "ordinal"]
    required: bool
    minimum: float | None
    maximum: float | None
    choices: list[FieldChoice]
    typical: float | str
    group: str


class FieldsResponse(BaseModel):
    """Every field, required ones first."""

    fields: list[FieldDescription]
