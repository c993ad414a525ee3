"""POST /v1/feedback: what came true of a prediction. It is kept beside the prediction, and the last word counts."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import UUID7, BaseModel, Field, create_model

from portfolio_shared.operations.database import StoreError
from portfolio_shared.operations.store import Feedback, Store
from portfolio_shared.serving.prediction_log import PredictionLog, hashed_subject, time_of
from portfolio_shared.serving.problems import FieldError, ProblemError, unprocessable
from portfolio_shared.serving.routes import StrictRoute
from portfolio_shared.serving.schemas import Strict

GRACE_SECONDS = 5.0  # after which a prediction that is not in the log is unknown
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 10.0


class FeedbackRequest(Strict):
    """What came true of one item of a prediction; each service says what `truth` is."""

    id: UUID7 = Field(description="Of the prediction: the `id` of its answer")
    index: int = Field(default=0, ge=0, description="Which item of the prediction, from 0")
    truth: BaseModel


class FeedbackKept(BaseModel):
    """The body of the answer to feedback."""

    id: str = Field(description="The prediction's id")
    index: int
    kept: bool = Field(description="False if the same was said before")


def feedback_router(
    truth: type[BaseModel],
    *,
    model: str,
    log: PredictionLog | None,
    subject_key: str,
    check: Callable[[Any], None] = lambda _: None,
) -> APIRouter:
    """Build the route that takes feedback.

    Parameters
    ----------
    truth
        What came true of one item, of this project.
    model
        Whose predictions are meant.
    log
        None where the service keeps no predictions: feedback is then refused with 503.
    check
        Raises ProblemError for a truth that cannot be meant.
    """
    # Under this name in the documentation: a generic class would be FeedbackRequest_Truth_.
    said = create_model("FeedbackRequest", __base__=FeedbackRequest, __doc__="What came true.", truth=(truth, ...))
    router = APIRouter(prefix="/v1", tags=["feedback"], route_class=StrictRoute)

    async def keep(log: PredictionLog, given: Feedback) -> bool:
        items = await _items_of(log, given.prediction, model)
        if items is None:
            raise ProblemError(404, f"No prediction with the id {given.prediction} is kept.")
        if given.item >= items:
            message = f"Input should be less than {items}, the number of items of the prediction"
            raise unprocessable([FieldError(field="index", message=message, value=given.item, bound={"lt": items})])
        return await asyncio.to_thread(log.ask, lambda store: store.add_feedback(given))

    async def feedback(body: said, request: Request, response: Response) -> FeedbackKept:
        """Keep what came true; 202 the first time, 200 if the same was said before, 404 for an unknown prediction."""
        if log is None:
            raise ProblemError(503, "This service keeps no predictions, so it can keep no feedback.")
        check(body.truth)
        client = hashed_subject(request.state.subject, subject_key)
        given = Feedback(str(body.id), body.index, time.time(), client, body.truth.model_dump_json())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):  # a database may hang
                new = await keep(log, given)
        except (StoreError, TimeoutError):
            detail = "The prediction log cannot be reached. Send the feedback again later."
            raise ProblemError(503, detail, headers={"Retry-After": "10"}) from None
        response.status_code = 202 if new else 200
        return FeedbackKept(id=given.prediction, index=given.item, kept=new)

    router.add_api_route(
        "/feedback",
        feedback,
        methods=["POST"],
        summary="Say what came true of a prediction",
        responses={202: {"model": FeedbackKept, "description": "Kept; 200: the same was said before"}},
    )
    return router


async def _items_of(log: PredictionLog, prediction: str, model: str) -> int | None:
    """Return how many items a prediction has; wait for one that may not be written yet."""

    def look(store: Store) -> int | None:
        return store.items_of(prediction, model=model)

    items = await asyncio.to_thread(log.ask, look)
    while items is None and abs(time.time() - time_of(prediction)) < GRACE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        items = await asyncio.to_thread(log.ask, look)
    return items
