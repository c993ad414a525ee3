"""What the routes of every service take from the app that answers: the model, the settings, the worker pool, an id.

The model is FastAPI's one dependency. The others are plain functions: FastAPI takes as long to resolve two dependencies
as a prediction takes to compute.
"""

from typing import Any

from fastapi import Request

from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.pool import WorkerPool
from portfolio_shared.serving.prediction_log import new_id


async def loaded_model(request: Request) -> LoadedModel[Any]:
    """Return the model that answers this request, which takes it once and uses it to its end.

    A project names its type once: ``Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]``.

    Raises
    ------
    ModelNotReady
        503 with the reason, if no model is loaded.
    """
    loaded: LoadedModel[Any] = request.app.state.rollout.model_for(request)
    return loaded


def settings_of(request: Request) -> Any:
    """Return the settings that `create_app` was called with."""
    return request.app.state.settings


def pool_of(request: Request) -> WorkerPool:
    """Return the worker pool of the model that answers this request: the challenger has threads of its own."""
    state = request.app.state
    pool: WorkerPool = state.challenger_pool if "by_challenger" in request.scope["state"] else state.pool
    return pool


def answer_id(request: Request) -> str:
    """Return the id of the answer, made here: the header X-Request-ID is the client's to choose and to repeat."""
    made = new_id()
    request.scope["state"]["answer_id"] = made
    return made


def prediction_id(request: Request, model: LoadedModel[Any], *, items: int, abstained: int = 0) -> str:
    """Return the id of an answer that is written to the prediction log, if it is sent.

    Parameters
    ----------
    items
        How many things are predicted: feedback names one by its index.
    abstained
        For how many of them the model has no answer of its own to give.
    """
    if abstained:
        request.scope["state"]["abstained"] = abstained
    request.scope["state"]["predicted"] = (model.version, items)
    return answer_id(request)


def log_instead(request: Request, *, asked: bytes, answered: bytes) -> None:
    """Write this JSON to the prediction log instead of the bodies of the request and of its response."""
    request.scope["state"]["logged_bodies"] = (asked, answered)
