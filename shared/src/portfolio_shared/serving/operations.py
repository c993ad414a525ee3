"""The routes that every service has for those who operate it: health, readiness, metrics, the model."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from portfolio_shared.bundle import DataSummary, MetricValue
from portfolio_shared.serving.dependencies import answer_id
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.models import Origin
from portfolio_shared.serving.rollout import Rollout, RolloutInfo
from portfolio_shared.serving.routes import StrictRoute, refuse_ignored_parameters
from portfolio_shared.serving.schemas import ANSWER_ID, ModelName


class Readiness(BaseModel):
    """The body of /readyz when the service can predict."""

    status: Literal["ready"] = "ready"
    model: ModelName


class ModelInfo(BaseModel):
    """The body of /v1/model: where the model comes from and what it can do."""

    model_config = ConfigDict(allow_inf_nan=False)

    id: str = Field(description=ANSWER_ID)
    name: str
    version: str
    run_id: str | None
    origin: Origin
    created: datetime
    loaded_at: datetime
    project: str
    data: DataSummary
    metrics: dict[str, MetricValue]
    baselines: dict[str, dict[str, MetricValue]]
    git_commit: str
    feedback: bool = Field(description="Whether this service keeps feedback on its predictions")
    rollout: RolloutInfo


def operations_router(rollout: Rollout[Any], metrics: ServiceMetrics, *, feedback: bool) -> APIRouter:
    """Build the routes for operators.

    /healthz says that the process is alive, and nothing about the model: a restart does not bring a missing model, so
    only /readyz depends on it.
    """
    router = APIRouter(tags=["operations"], route_class=StrictRoute)

    async def healthz(request: Request) -> Response:
        refuse_ignored_parameters(request)
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def show_metrics(request: Request) -> Response:
        refuse_ignored_parameters(request)
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def readyz() -> Readiness:
        return Readiness(model=rollout.models.current().named)

    async def model(request: Request) -> ModelInfo:
        loaded = rollout.models.current()
        manifest = loaded.manifest
        return ModelInfo(
            id=answer_id(request),
            name=loaded.name,
            version=loaded.version,
            run_id=loaded.run_id,
            origin=loaded.origin,
            created=manifest.created,
            loaded_at=loaded.loaded_at,
            project=manifest.project,
            data=manifest.data,
            metrics=manifest.metrics,
            baselines=manifest.baselines,
            git_commit=manifest.git_commit,
            feedback=feedback,
            rollout=rollout.info(),
        )

    # The first two are asked every few seconds and need no parameters: plain routes take half the time.
    router.add_route("/healthz", healthz)
    router.add_route("/metrics", show_metrics)
    router.add_api_route("/readyz", readyz, summary="Whether a model is loaded")
    router.add_api_route("/v1/model", model, summary="The model that answers")
    return router
