"""A demo project: tests run it in process and, through `portfolio_shared.serving.server`, as a process."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from portfolio_shared.bundle import DataInfo, Manifest, MetricValue
from portfolio_shared.serving import app as app_module
from portfolio_shared.serving.app import create_service
from portfolio_shared.serving.bounds import Items
from portfolio_shared.serving.dependencies import loaded_model, pool_of, prediction_id
from portfolio_shared.serving.models import LoadedModel, ModelHolder, ModelNotReady
from portfolio_shared.serving.problems import FieldError, unprocessable
from portfolio_shared.serving.protocol import BoundedProtocol
from portfolio_shared.serving.routes import StrictRoute
from portfolio_shared.serving.schemas import ModelName
from portfolio_shared.serving.settings import ServiceSettings

PAGE = "<!doctype html><title>demo</title><p>hello</p>"
release = threading.Event()  # ends the work of /v1/held


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")
    port: int = 0
    model_name: str = "demo"


class House(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    area: float = Field(gt=0)
    year_built: int = Field(ge=1872, le=2030)


class HousesRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    houses: Annotated[list[House], Items(1, 1000)]


class PricesResponse(BaseModel):
    id: str
    model: ModelName
    prices: list[float]


class Truth(BaseModel):
    model_config = ConfigDict(extra="forbid")
    price: float = Field(gt=0)


Predict = Callable[[list[float]], list[float]]


def predict(areas: list[float]) -> list[float]:
    return [area * 100 for area in areas]


MANIFEST = Manifest(
    project="demo",
    created=datetime(2026, 1, 2, tzinfo=UTC),
    git_commit="c0ffee",
    data=DataInfo(source="sample", name="demo", sha256="a" * 64, rows={"train": 3}, test_split_sha256="b" * 64),
    config={},
    metrics={"mean_absolute_error": MetricValue(estimate=1.5, low=1.0, high=2.0)},
    baselines={},
    input_schema={},
    input_statistics={},
)


class FakeHolder(ModelHolder[Predict]):
    """A holder without a registry, whose model can be taken away. Its own state is all it has."""

    def __init__(self, version: str = "7", predictor: Predict = predict) -> None:
        self.loaded: LoadedModel[Predict] = LoadedModel(
            predictor=predictor,
            manifest=MANIFEST,
            name="demo",
            version=version,
            run_id=None,
            origin="path",
            loaded_at=datetime(2026, 1, 3, tzinfo=UTC),
        )
        self.swaps = 1
        self.refused_bundles = 0
        self.refreshes = 0
        self.watching = False
        self.watch_error: Exception | None = None
        self.missing = ""
        self.beside = False

    def stand_beside(self) -> None:
        self.beside = True

    def close(self) -> None:
        """Nothing is asked."""

    def current(self) -> LoadedModel[Predict]:
        if self.missing:
            raise ModelNotReady(self.missing)
        return self.loaded

    def refresh(self) -> bool:
        self.refreshes += 1
        return True

    async def watch(self) -> None:
        if self.watch_error:
            raise self.watch_error
        self.watching = True
        try:
            await asyncio.Event().wait()
        finally:
            self.watching = False


router = APIRouter(prefix="/v1", route_class=StrictRoute)
Model = Annotated[LoadedModel[Predict], Depends(loaded_model)]


@router.post("/prices")
async def prices(body: HousesRequest, loaded: Model, request: Request) -> PricesResponse:
    if rule := [
        FieldError(field=f"houses.{i}.area", value=house.area, message="Too large", bound={"le": 9999})
        for i, house in enumerate(body.houses)
        if house.area > 9999
    ]:
        raise unprocessable(rule)
    values = await pool_of(request).run(loaded.predictor, [house.area for house in body.houses])
    model = ModelName(name=loaded.name, version=loaded.version)
    made = prediction_id(request, loaded, items=len(values), abstained=values.count(0.0))
    return PricesResponse(id=made, model=model, prices=values)


@router.post("/slow")
async def slow(request: Request, seconds: float = 0.0) -> dict[str, str]:
    await pool_of(request).run(time.sleep, seconds)
    return {"slept": "well"}


@router.post("/held")
async def held(request: Request) -> dict[str, bool]:
    return {"released": await pool_of(request).run(release.wait, 20.0)}


@router.post("/raw")
async def raw(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


@router.get("/users/{user_id}")
async def user(user_id: int) -> dict[str, int]:
    if user_id == 404:
        raise HTTPException(404, "no user 404 in this model")
    return {"user_id": user_id}


@router.delete("/users/{user_id}")
async def forget(user_id: int) -> None: ...


@router.get("/broken")
async def broken() -> dict[str, str]:
    return {"text": {"a": "b"}["internal detail"]}


def create_app(
    settings: DemoSettings,
    models: FakeHolder | None = None,
    web: Path | None = None,
    *,
    challengers: FakeHolder | None = None,
    **options: Any,
) -> FastAPI:
    def holder(*, alias: str | None = None, **_: Any) -> FakeHolder:
        return (challengers if alias else models) or FakeHolder()

    with mock.patch.object(app_module, "ModelHolder", holder):
        return create_service(
            title="Demo <service>",
            description="For tests.",
            settings=settings,
            project="demo",
            load=lambda _: predict,
            smoke_test=lambda _: None,
            web=web or settings.model_cache,  # the demo has no models to keep, so its page may live there
            router=router,
            truth=Truth,
            **options,
        )


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """Run the app under uvicorn in a thread: real sockets, real chunks, real HEAD."""
    http = BoundedProtocol if hasattr(app.state, "connections") else "auto"
    options: dict[str, Any] = {"log_config": None, "access_log": False, "ws": "none", "reset_contextvars": True}
    config = uvicorn.Config(app, port=0, lifespan="on", http=http, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition did not become true within 10 s")


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["instance"] == response.headers["x-request-id"]
    assert problem["detail"]
    assert "Traceback" not in response.text
    return problem


def house(**changes: object) -> dict[str, object]:
    return {"area": 120.0, "year_built": 1990} | changes


def access_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "portfolio_shared.access"]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(vars(record)["fields"])
