"""The HTTP service: what is special to house prices. Health, metrics, limits and model loading are shared."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from housing.config import MODEL_NAME, ServeSettings
from housing.data.columns import Column, Record, columns
from housing.data.consistency import violations
from housing.data.house import EXAMPLE, House
from housing.models.imputation import Typical
from housing.models.predictor import Prediction, Predictor
from housing.serving.observe import Truth
from housing.serving.schemas import (
    FieldChoice,
    FieldDescription,
    FieldsResponse,
    PredictionRequest,
    PredictionResponse,
    to_json,
)
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.dependencies import answer_id, loaded_model, pool_of, prediction_id
from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.routes import StrictRoute

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["houses"])


@router.post("/predictions", summary="Price 1 to 1,000 houses", response_model=PredictionResponse)
async def predict(body: PredictionRequest, request: Request, model: Model) -> Response:
    """Price the houses of a request, in its order."""
    pool = pool_of(request)
    if body.explain or len(body.houses) > 1:
        houses = await pool.run(partial(price, model.predictor, body.houses, explain=body.explain))
    else:
        (record,) = possible(body.houses)
        houses = repaired([await pool.run_together(model.predictor.predict, record)], body.houses)
    made = prediction_id(request, model, items=len(houses))
    answer = PredictionResponse(id=made, model=model.named, predictions=houses)
    return Response(to_json(answer), media_type="application/json")


@router.get("/fields", summary="The fields of a house: meaning, bounds, choices, typical value")
async def fields(request: Request, model: Model) -> FieldsResponse:
    """Describe every field, those that a person can tell first."""
    described = [describe(column, model.predictor.typical) for column in columns().values()]
    order = [*EXAMPLE, *columns()]
    ordered = sorted(described, key=lambda field: order.index(field.name))
    return FieldsResponse(id=answer_id(request), model=model.named, fields=ordered)


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    return create_service(
        title="House prices",
        description="A price, a 90 % interval and a reason for a house in Ames, Iowa, as of 2006 to 2010.",
        settings=settings,
        project=MODEL_NAME,
        load=Predictor.load,
        smoke_test=smoke_test,
        web=Path(__file__).parent / "web",
        router=router,
        truth=Truth,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot price the example."""
    (house,) = predictor.predict([EXAMPLE], explain=True)
    if not 0 < house.interval.low <= house.price <= house.interval.high:
        raise ValueError(f"the example's price {house.price} is not within its interval {house.interval}")


def price(
    predictor: Predictor, houses: Sequence[House], *, explain: bool = False, path: str = "houses.{}."
) -> list[Prediction]:
    """Price houses that were read; runs in a worker thread.

    Parameters
    ----------
    path
        Where a house is in what was asked, for the fields of errors; ``{}`` is its place.
    """
    return repaired(predictor.predict(possible(houses, path), explain=explain), houses)


def repaired(predictions: Sequence[Prediction], houses: Sequence[House]) -> list[Prediction]:
    """Return the predictions with what was put right in each house."""
    return [
        replace(prediction, repaired=house.repaired) if house.repaired else prediction
        for prediction, house in zip(predictions, houses, strict=True)
    ]


def possible(houses: Sequence[House], path: str = "houses.{}.") -> list[Record]:
    """Return houses as records, or answer 422 in the shape of a wrong field, if a rule across columns is broken."""
    records: list[Record] = [house.model_dump(exclude_none=True) for house in houses]
    errors = [
        FieldError(
            field=f"{path.format(i)}{violation.field}",
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
    choices = [FieldChoice(code=code, label=label) for code, label in column.choices.items()]
    return FieldDescription(**vars(column) | {"choices": choices, "typical": typical.by_quality[column.name][5]})
