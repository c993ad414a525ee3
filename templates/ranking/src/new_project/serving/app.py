"""The HTTP service: what is special to this project. Health, metrics, limits and model loading are shared."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from new_project.config import MODEL_NAME, ServeSettings
from new_project.models.predictor import Predictor
from new_project.serving import schemas
from new_project.serving.observe import Truth
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.dependencies import answer_id, loaded_model, pool_of, prediction_id
from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.routes import StrictRoute

Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["recommendations"])


@router.post("/recommendations", summary="Recommend items for one history")
async def recommend(body: schemas.Item, request: Request, model: Model) -> schemas.RecommendationResponse:
    """Recommend items that are not in the history, with those of it that are the reason."""
    result = await pool_of(request).run(answer_one, model.predictor, body)
    made = prediction_id(request, model, items=1, abstained=int(result.popular))
    return schemas.RecommendationResponse(id=made, model=model.named, **dict(result))


@router.get("/items", summary="Find items by words of their titles")
async def items(asked: Annotated[schemas.ItemsQuery, Query()], request: Request, model: Model) -> schemas.ItemsResponse:
    """Return the items whose titles hold all words, the most chosen first."""
    matches = await pool_of(request).run(lambda: model.predictor.find(asked.query, limit=asked.limit))
    return schemas.ItemsResponse(id=answer_id(request), model=model.named, items=list(map(schemas.found, matches)))


def create_app(settings: ServeSettings) -> FastAPI:
    """Build the service; its model is loaded when it starts."""
    return create_service(
        title="New project",
        description="From what somebody chose to what they may choose next, each with the reasons.",
        settings=settings,
        project=MODEL_NAME,
        load=Predictor.load,
        smoke_test=smoke_test,
        web=Path(__file__).parent / "web",
        router=router,
        truth=Truth,
    )


def smoke_test(predictor: Predictor) -> None:
    """Refuse a model that cannot recommend, or whose reasons do not sum to its scores."""
    first = predictor.items[int(predictor.counts.argmax())]
    (prediction,) = predictor.predict([[first.id]], k=5)
    if not prediction.recommendations or first in [each.item for each in prediction.recommendations]:
        raise ValueError(f"recommendations for {first.title!r}: {prediction.recommendations}")
    for each in prediction.recommendations if prediction.basis == "history" else ():
        if abs(sum(reason.adds for reason in each.reasons) + each.others - each.score) > 1e-6:
            raise ValueError(f"the reasons of {each.item.title!r} do not sum to its score")
    if first not in predictor.find(first.title, limit=50):
        raise ValueError(f"a search for {first.title!r} does not find it")


def answer_one(predictor: Predictor, item: schemas.Item) -> schemas.Result:
    """Return the answer to one history."""
    (prediction,) = predictor.predict([item.history], k=item.k)
    return schemas.result_of(prediction)
