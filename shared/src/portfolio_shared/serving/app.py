"""The operational half of a service, around the routes of a project."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel

from portfolio_shared.deadlines import in_background
from portfolio_shared.serving.access import Access
from portfolio_shared.serving.admission import Admission
from portfolio_shared.serving.connections import Connections
from portfolio_shared.serving.direct import direct
from portfolio_shared.serving.feedback import feedback_router
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.middleware import ServiceMiddleware
from portfolio_shared.serving.models import CHALLENGER, ModelHolder, ModelNotReady
from portfolio_shared.serving.operations import operations_router
from portfolio_shared.serving.pages import add_pages
from portfolio_shared.serving.pool import WorkerPool
from portfolio_shared.serving.prediction_log import OFF, PredictionLog
from portfolio_shared.serving.problem_handlers import PROBLEM_RESPONSES, install_problem_handlers
from portfolio_shared.serving.rollout import BESIDE, Rollout
from portfolio_shared.serving.routes import RouteTable, StrictRoute
from portfolio_shared.serving.settings import ServiceSettings

if TYPE_CHECKING:  # loads OpenTelemetry, which a service without traces does not
    from portfolio_shared.serving.shadow import Shadow
    from portfolio_shared.serving.tracing import Tracing

P = TypeVar("P")

_log = logging.getLogger(__name__)

# This service has its own metrics and logs; FastAPI's record validation errors, which hold the payload.
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
FIRST_LOOK_SECONDS = 1.0  # how long the start waits for a first model
CHALLENGER_THREADS = 2
INTERLEAVED_SECONDS = 1.0  # for the challenger's half of a list


def create_service(
    *,
    title: str,
    description: str,
    settings: ServiceSettings,
    project: str,
    load: Callable[[Path], P],
    smoke_test: Callable[[P], None],
    web: Path,
    router: APIRouter,
    truth: type[BaseModel],
    check_truth: Callable[[P, Any], None] | None = None,
) -> FastAPI:
    """Build the app of a project: its routes, within limits, with health, metrics, logs, documentation and a page.

    A route is `async def`, takes its model from the dependency `loaded_model`, computes with
    ``await pool_of(request).run(...)`` and returns a pydantic model that its return annotation names. FastAPI then
    checks no more than the type of the outermost object and writes JSON in compiled code; without the annotation a
    thousand predictions take fifty times as long to write. What takes less than a millisecond is computed with
    ``run_here``; a route that needs nothing but a body, the request and the model is answered by `direct`.

    Parameters
    ----------
    title, description
        Shown in /docs.
    project
        Whose bundles are served.
    load
        Folder of a bundle -> predictor.
    smoke_test
        Raises if a predictor that was loaded cannot predict.
    web
        Folder of the project's page; see `add_pages`.
    router
        The routes of the project, made with ``APIRouter(prefix="/v1", route_class=StrictRoute)``.
    truth
        What feedback says of one item of a prediction.
    check_truth
        Raises ProblemError for a truth that the predictor which serves cannot have been asked for; without a model,
        feedback is kept unchecked.

    Returns
    -------
    An app that does nothing until it is started.

    Raises
    ------
    TypeError
        If a route would accept NaN in its JSON, because it is no `StrictRoute`.
    """
    refuse_lax_routes(router)
    holder = partial(ModelHolder, settings=settings, project=project, load=load, smoke_test=smoke_test)
    rollout = rollout_of(settings, holder)
    log = prediction_log_of(settings)
    tracing = tracing_of(settings, project)
    metrics = ServiceMetrics(rollout.models, log, rollout, connections := Connections(settings))
    table = RouteTable()
    app = FastAPI(
        title=title,
        description=description,
        lifespan=_lifespan(settings, rollout, table, log, tracing),
        docs_url=None,  # FastAPI's own pages load their scripts from a CDN; add_pages serves /docs
        redoc_url=None,
        servers=[{"url": "."}],  # relative to /openapi.json: a proxy's prefix needs no setting
        root_path_in_servers=False,
        redirect_slashes=False,  # a redirect would be built from the Host header, which is the client's to choose
        telemetry=NO_TELEMETRY,
    )
    app.state.rollout, app.state.settings, app.state.metrics = rollout, settings, metrics
    app.state.connections, app.state.access = connections, Access(settings)
    app.state.admission = Admission(
        settings, lambda path, count: metrics.refused(route=table.template({"path": path}), count=count)
    )
    app.include_router(router, responses=PROBLEM_RESPONSES)  # first: routes are tried in order, and this is the hot one
    subject_key = settings.subject_key.get_secret_value()

    def check(said: Any) -> None:
        if check_truth is not None:
            with suppress(ModelNotReady):
                check_truth(rollout.models.current().predictor, said)

    feedback = feedback_router(truth, model=settings.model_name, log=log, subject_key=subject_key, check=check)
    operations = operations_router(rollout, metrics, feedback=log is not None)
    app.include_router(feedback, responses=PROBLEM_RESPONSES)
    app.include_router(operations, responses=PROBLEM_RESPONSES)
    add_pages(app, web, project=project, start_page=settings.start_page)
    install_problem_handlers(app, table)
    beside = partial(ServiceMiddleware, log=log, tracing=tracing, shadow=rollout.shadow, access=app.state.access)
    app.add_middleware(beside, settings=settings, metrics=metrics, table=table, admission=app.state.admission)
    return app


def refuse_lax_routes(router: APIRouter) -> None:
    """Raise TypeError for a route that would accept NaN in its JSON."""
    for route in router.routes:
        if isinstance(route, APIRoute) and not isinstance(route, StrictRoute):
            raise TypeError(f"{route.path} is no StrictRoute: make the router with APIRouter(route_class=StrictRoute)")


def rollout_of(settings: ServiceSettings, holder: Callable[..., ModelHolder[P]]) -> Rollout[P]:
    """Return what chooses the model of a request: of one, or of two, as the settings say."""
    challengers = holder(alias=CHALLENGER) if settings.rollout in BESIDE else None
    if settings.rollout != "shadow":
        return Rollout(settings, holder(), challengers)
    from portfolio_shared.serving.shadow import Shadow

    return Rollout(settings, holder(), challengers, Shadow(settings))


def prediction_log_of(settings: ServiceSettings) -> PredictionLog | None:
    """Return the prediction log that the settings name, not started, or None if it is off."""
    if settings.prediction_log == OFF:
        return None
    return PredictionLog(
        settings.prediction_log,
        model=settings.model_name,
        days=settings.log_days,
        megabytes=settings.log_megabytes,
    )


def tracing_of(settings: ServiceSettings, project: str) -> "Tracing | None":
    """Return what sends traces where the settings say, not started, or None if they name nothing."""
    if not settings.trace_uri:
        return None
    from portfolio_shared.serving.tracing import Tracing

    return Tracing(settings, experiment=project)


def _lifespan(
    settings: ServiceSettings,
    rollout: Rollout[Any],
    table: RouteTable,
    log: PredictionLog | None,
    tracing: "Tracing | None",
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    parts: tuple[PredictionLog | Shadow | Tracing | None, ...] = (log, rollout.shadow, tracing)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        table.build(app, direct)
        if log is not None:
            log.start()
        if rollout.shadow is not None:
            rollout.shadow.start(app.state.factory)
        if tracing is not None:
            tracing.start()
        around = tracing.computation if tracing is not None else None
        pool, beside = app.state.pool, app.state.challenger_pool = pools_of(settings, around)
        # Without a model the service starts all the same, and is not ready: a slow registry must not silence /healthz.
        first = asyncio.create_task(in_background(rollout.refresh))
        await asyncio.wait({first}, timeout=FIRST_LOOK_SECONDS)
        if first.done():
            first.result()  # a bug ends the start
        watch = asyncio.create_task(rollout.watch(first))
        watch.add_done_callback(_report_end)
        try:
            yield
        finally:  # the server has already waited for the requests in progress
            await asyncio.to_thread(rollout.close)
            watch.cancel()
            with suppress(asyncio.CancelledError, Exception):  # _report_end has logged what it was
                await watch
            await pool.close()
            for part in parts:  # the shadow after the log: its rows are of predictions that are written
                if part is not None:
                    await asyncio.to_thread(part.close)
            await beside.close()  # last: a challenger that hangs keeps its threads, and costs no row of the log

    return lifespan


def pools_of(settings: ServiceSettings, around: Callable[..., Any] | None) -> tuple[WorkerPool, WorkerPool]:
    """Return the champion's threads and the challenger's, of which the first are never waiting for the others.

    A challenger that hangs keeps its own threads busy, and at most half of the places of requests. Where it computes a
    part of everybody's answer, it gets a short time. Where it answers some, it must not hold up the event loop, and the
    champion computes in threads too: their latencies are compared.
    """
    places, seconds = settings.max_concurrent_requests, settings.request_timeout_seconds
    canary = settings.rollout == "canary"
    at_most = seconds if canary else INTERLEAVED_SECONDS
    make = partial(WorkerPool, around=around, here=not canary)
    return (
        make(threads=settings.worker_threads, max_waiting=places, timeout_seconds=seconds),
        make(
            threads=min(CHALLENGER_THREADS, settings.worker_threads),
            max_waiting=max(1, places // 2),
            timeout_seconds=min(at_most, seconds),
        ),
    )


def _report_end(watch: asyncio.Task[None]) -> None:
    if not watch.cancelled():
        _log.critical("nobody watches the registry any more: restart the service", exc_info=watch.exception())
