"""What the API accepts and returns: bounds, units and examples, from the column table."""

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from housing.columns import Column, columns

MAX_HOUSES = 1000

EXAMPLE = {
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
    if kind is float:
        bounds["allow_inf_nan"] = False
    return (kind, Field(**bounds)) if column.required else (kind | None, Field(default=None, **bounds))


def _house_model() -> type[Strict]:
    fields: dict[str, Any] = {name: _field(column) for name, column in columns().items()}
    model = create_model(
        "House", __base__=Strict, __doc__="One house; what is left out is filled, and reported.", **fields
    )
    return cast("type[Strict]", model)


House = _house_model()


class PredictionRequest(Strict):
    """One to a thousand houses to price."""

    houses: list[House] = Field(min_length=1, max_length=MAX_HOUSES, examples=[[EXAMPLE]])  # type: ignore[valid-type]
    explain: bool = Field(default=False, description="Also return contributions and comparable sales")


class Interval(BaseModel):
    """The price range that holds the true price with probability `coverage`, in dollars."""

    low: float
    high: float
    coverage: float


class FilledField(BaseModel):
    """A value that the request left open."""

    field: str
    value: float | str
    rule: str


class Contribution(BaseModel):
    """What one group of fields adds to the average price, in dollars."""

    group: str
    dollars: float
    fields: list[str]


class Comparable(BaseModel):
    """A sold house that is much like this one."""

    price: float
    neighborhood: str
    year_built: int
    gr_liv_area: float
    overall_qual: int
    lot_area: float
    yr_sold: int
    similarity: float = Field(description="1 for the same house, towards 0 for an unlike one")


class Explanation(BaseModel):
    """The contributions add up to price - average_price exactly."""

    average_price: float = Field(description="Geometric mean of the model's prices over its training houses, dollars")
    contributions: list[Contribution]
    comparables: list[Comparable]


class Prediction(BaseModel):
    """The answer for one house."""

    price: float = Field(description="Dollars of the year of sale")
    interval: Interval
    filled: list[FilledField]
    warnings: list[str] = Field(description="Where this house lies outside what the model has seen")
    explanation: Explanation | None = None


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class PredictionResponse(BaseModel):
    """Predictions in the order of the request's houses."""

    id: str
    model: ModelName
    predictions: list[Prediction]


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
