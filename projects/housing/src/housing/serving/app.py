"""The HTTP service: what is special to house prices. Health, metrics, limits and model loading are shared."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request

from housing.config import MODEL_NAME, ServeSettings
from housing.data.columns import Column, Record, columns
from housing.data.consistency import violations
from housing.models.imputation import Typical
from housing.models.predictor import PredictedHouse, Predictor
from housing.models.storage import load
from housing.serving.schemas import (
    EXAMPLE,
    FieldChoice,
    FieldDescription,
    FieldsResponse,
    PredictionRequest,
    PredictionResponse,
)
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.models import ModelHolder
from portfolio_shared.serving.pool import pool_of, request_id_of
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.routes import StrictRoute

WEB = Path(__file__).parent / "web"


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    models = ModelHolder(settings=settings, project=MODEL_NAME, load=load, smoke_test=smoke_test)
    router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["houses"])

    @router.post("/predictions", summary="Price 1 to 1,000 houses")
    async def predict(body: PredictionRequest, request: Request) -> PredictionResponse:
        loaded = models.current()
        houses = await pool_of(request).run(answer, loaded.predictor, body)
        return PredictionResponse(id=request_id_of(request), model=loaded.named, predictions=houses)

    @router.get("/fields", summary="The fields of a house: meaning, bounds, choices, typical value")
    async def fields() -> FieldsResponse:
        typical = models.current().predictor.typical
        described = [describe(column, typical) for column in columns().values()]
        order = [*EXAMPLE, *columns()]  # what a person knows best comes first
        return FieldsResponse(fields=sorted(described, key=lambda field: order.index(field.name)))

    return create_service(
        title="House prices",
        description="A price, a 90 % interval and a reason for a house in Ames, Iowa, as of 2006 to 2010.",
        settings=settings,
        models=models,
        web=WEB,
        router=router,
    )


def answer(predictor: Predictor, body: PredictionRequest) -> list[PredictedHouse]:
    """Price the request's houses; runs in a worker thread."""
    records = possible([house.model_dump(exclude_none=True) for house in body.houses])
    return predictor.predict(records, explain=body.explain)


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot price the example."""
    (house,) = predictor.predict([EXAMPLE], explain=True)
    if not 0 < house.interval.low <= house.price <= house.interval.high:
        raise ValueError(f"the example's price {house.price} is not within its interval {house.interval}")


def possible(records: list[Record]) -> list[Record]:
    """Return the records if no rule across columns is broken; otherwise answer 422 in the shape of a wrong field."""
    errors = [
        FieldError(
            field=f"houses.{i}.{violation.field}",
            message=f"Expected {violation.rule}, here at most {violation.limit:g}",
            value=violation.value,
            bound={"le": violation.limit},
        )
        for i, record in enumerate(records)
        for violation in violations(record)
    ]
    if errors:
        raise unprocessable(errors)
    return records


def describe(column: Column, typical: Typical) -> FieldDescription:
    """Return what a form needs to know of one field; `typical` is of a house of overall quality 6."""
    return FieldDescription(
        name=column.name,
        label=column.label,
        help=column.help,
        unit=column.unit,
        kind=column.kind,
        required=column.required,
        minimum=column.minimum,
        maximum=column.maximum,
        choices=[FieldChoice(code=code, label=label) for code, label in column.choices.items()],
        typical=typical.by_quality[column.name][5],
        group=column.group,
    )
