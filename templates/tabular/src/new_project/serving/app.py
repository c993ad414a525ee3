"""The HTTP service: what is special to this table. Health, metrics, limits and model loading are shared."""

from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request

from new_project.config import MODEL_NAME, ServeSettings
from new_project.data.columns import Column, schema
from new_project.data.row import record_of_row
from new_project.models.predictor import WITH, Prediction, Predictor
from new_project.serving.observe import Truth
from new_project.serving.schemas import (
    FieldDescription,
    FieldsResponse,
    Item,
    PredictionRequest,
    PredictionResponse,
)
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.dependencies import answer_id, loaded_model, pool_of, prediction_id
from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.routes import StrictRoute

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["rows"])


@router.post("/predictions", summary="Predict for 1 to 1,000 rows")
async def predict(body: PredictionRequest, request: Request, model: Model) -> PredictionResponse:
    """Predict for the rows of a request, in its order."""
    records = [record_of_row(item) for item in body.items]
    predictions = await pool_of(request).run(partial(model.predictor.predict, records))
    made = prediction_id(request, model, items=len(records))
    return PredictionResponse(id=made, model=model.named, predictions=predictions)


@router.get("/fields", summary="The fields of a row: kind, range, choices, typical value")
async def fields(request: Request, model: Model) -> FieldsResponse:
    """Describe what is predicted, and every field."""
    described = [describe(column, model.predictor) for column in schema().columns]
    return FieldsResponse(id=answer_id(request), model=model.named, target=schema().target.label, fields=described)


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    return create_service(
        title="New project",
        description=f"Predicts {schema().target.label} of a row, with {WITH}.",
        settings=settings,
        project=MODEL_NAME,
        load=Predictor.load,
        smoke_test=smoke_test,
        web=Path(__file__).parent / "web",
        router=router,
        truth=Truth,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot predict for the example."""
    (found,) = predictor.predict([schema().example])
    if not found.is_sound:
        raise ValueError(f"the example's prediction contradicts itself: {found}")


def answer_one(predictor: Predictor, item: Item) -> Prediction:
    """Predict for one row, a line of `predict --follow`."""
    return predictor.predict([record_of_row(item)])[0]


def describe(column: Column, predictor: Predictor) -> FieldDescription:
    """Return what a form needs to know of one field."""
    encoding = predictor.encoding
    is_number = column.kind == "number"
    low, typical, high = encoding.ranges[column.name] if is_number else (None, schema().example[column.name], None)
    codes = encoding.codes.get(column.name, [])
    return FieldDescription(
        name=column.name,
        label=column.label,
        kind=column.kind,
        whole=column.whole,
        minimum=low,
        maximum=high,
        choices=codes,
        typical=codes[0] if codes else typical,
    )
