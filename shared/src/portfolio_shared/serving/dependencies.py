"""What the routes of every service take from the app that answers: the model, the settings, the worker pool, the id.

The model is FastAPI's one dependency. The others are plain functions: FastAPI takes as long to resolve two dependencies
as a prediction takes to compute.
"""

from typing import Any

from fastapi import Request

from portfolio_shared.serving.models import LoadedModel
from portfolio_shared.serving.pool import WorkerPool


async def loaded_model(request: Request) -> LoadedModel[Any]:
    """Return the model that serves; a request takes it once and uses it to its end.

    A project names its type once: ``Model = Annotated[LoadedModel[Predictor], Depends(loaded_model)]``.

    Raises
    ------
    ModelNotReady
        503 with the reason, if no model is loaded.
    """
    loaded: LoadedModel[Any] = request.app.state.models.current()
    return loaded


def settings_of(request: Request) -> Any:
    """Return the settings that `create_app` was called with."""
    return request.app.state.settings


def pool_of(request: Request) -> WorkerPool:
    """Return the worker pool."""
    pool: WorkerPool = request.app.state.pool
    return pool


def request_id_of(request: Request) -> str:
    """Return the id of this request: the `id` of its response."""
    request_id: str = request.state.request_id
    return request_id
