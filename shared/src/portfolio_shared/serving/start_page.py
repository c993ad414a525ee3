"""One page with the way to every demo and the state of its model, which is asked anew for every view.

It needs no JavaScript: while a model is not there yet the page asks the browser to come back.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import uvicorn
from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from portfolio_shared.environment import refuse_unknown_variables, without_invented_port
from portfolio_shared.serving.demos import PATH, Address, DemoLink, Demos
from portfolio_shared.serving.logs import configure_logging

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Demos of machine learning, and the state of their models.">
{refresh}<title>Machine learning that runs</title>
<link rel="icon" href="static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/style.css">
<link rel="stylesheet" href="static/start.css">
</head>
<body>
<header class="page-head">
<h1>Machine learning that runs</h1>
<p class="lead">Models carried from raw data to a served and explained prediction. Try one.</p>
</header>
<main class="demos">
{demos}
</main>
<footer class="page-foot"><div class="page-foot-inner"><nav aria-label="More">
<a href="{mlflow}">MLflow: runs, figures, registered models</a>
</nav></div></footer>
</body>
</html>
"""
READY, WAITING = "ready", "waiting"
DEMO = """<article class="demo" data-testid="{project}" data-state="{state}">
<h2><a href="{address}">{title}</a></h2>
<p>{lead}</p>
<p class="demo-state"><strong>{headline}</strong> {detail}</p>
<p class="demo-more"><a href="{address}/docs">API</a> <a href="{address}/v1/model">Model as JSON</a></p>
</article>"""
LOOKS_AGAIN = "This page looks again every few seconds."


class Demo(DemoLink):
    """A service: what it is, where people reach it, and where this process does."""

    lead: str
    internal: Address


class LearnedFrom(BaseModel):
    """The data of a model."""

    source: str
    name: str


class Model(BaseModel):
    """What this page needs of the answer of a service's /v1/model."""

    version: str
    created: datetime
    data: LearnedFrom


class State(NamedTuple):
    """Whether a service has a model, in words for a person."""

    state: str
    headline: str
    detail: str


class StartPageSettings(BaseSettings):
    """Where the start page listens, and what it leads to."""

    model_config = SettingsConfigDict(env_prefix="INDEX_", frozen=True, env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 inside a container")
    port: int = Field(default=8000, description="TCP port to listen on")
    address: Address = Field(description="where people reach this page")
    mlflow_address: Address = Field(description="where people reach MLflow")
    demos: tuple[Demo, ...] = Field(description="the demos, as JSON")
    api_key: SecretStr = Field(
        default=SecretStr(""), description="key that it sends to the services, if they ask for one"
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, values: Any) -> Any:
        prefix = cls.model_config["env_prefix"]
        refuse_unknown_variables(prefix, cls.model_fields)
        return without_invented_port(prefix, values)


def serve(settings: StartPageSettings) -> None:
    """Serve the page until SIGTERM."""
    configure_logging("info")
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    # After a graceful end uvicorn raises the signal again, which would make the exit code that of a killed process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config).run()


def create_app(settings: StartPageSettings, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """Build the app; `transport` stands in for the network in tests."""
    key = settings.api_key.get_secret_value()
    headers = {"X-API-Key": key} if key else {}
    client = httpx.AsyncClient(timeout=2.0, trust_env=False, transport=transport, headers=headers)
    links = Demos(address=settings.address, demos=settings.demos).model_dump(
        include={"address": True, "demos": {"__all__": set(DemoLink.model_fields)}}
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        announcement = asyncio.create_task(announce(client, settings))
        try:
            yield
        finally:
            announcement.cancel()
            await client.aclose()

    async def page(_: Request) -> Response:
        states = await asyncio.gather(*(state_of(client, demo) for demo in settings.demos))
        return HTMLResponse(render(settings, states), headers=HEADERS)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok", headers=HEADERS)

    async def demos(_: Request) -> Response:
        """Answer the services, whose pages link each other."""
        return JSONResponse(links, headers=HEADERS)

    async def targets(_: Request) -> Response:
        """Answer Prometheus' HTTP service discovery: where the services' metrics are."""
        groups = [
            {"targets": [urlsplit(demo.internal).netloc], "labels": {"project": demo.project}}
            for demo in settings.demos
        ]
        return JSONResponse(groups, headers=HEADERS)

    static = StaticFiles(directory=Path(__file__).parent / "static")
    plain = {"/": page, "/healthz": healthz, PATH: demos, "/targets": targets}
    routes = [*(Route(path, answer) for path, answer in plain.items()), Mount("/static", static)]
    return Starlette(routes=routes, lifespan=lifespan)


async def state_of(client: httpx.AsyncClient, demo: Demo) -> State:
    """Ask a service about its model."""
    try:
        answer = await client.get(f"{demo.internal}/v1/model")
    except httpx.HTTPError:
        return State(WAITING, "Not running.", f"The service does not answer. {LOOKS_AGAIN}")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return State(WAITING, "Being trained.", f"There is no model yet. {LOOKS_AGAIN}")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return State(WAITING, "Asks for a key.", "The service tells this page nothing without one (INDEX_API_KEY).")
    if answer.status_code != httpx.codes.OK:
        return State(WAITING, "Out of order.", f"The service answered {answer.status_code}. {LOOKS_AGAIN}")
    try:
        model = Model.model_validate_json(answer.content)
    except ValidationError:  # another program on this port, or a service of another version
        return State(WAITING, "Out of order.", f"What answers describes no model. {LOOKS_AGAIN}")
    sample = ", a sample" if model.data.source == "sample" else ""
    trained = f"trained on {model.created.day} {model.created:%B %Y} on {model.data.name}{sample}"
    return State(READY, "Ready.", f"Version {model.version}, {trained}.")


def render(settings: StartPageSettings, states: Sequence[State]) -> str:
    """Return the page."""
    articles = []
    for demo, state in zip(settings.demos, states, strict=True):
        texts = demo.model_dump() | state._asdict()
        articles.append(DEMO.format(**{name: escape(text) for name, text in texts.items()}))
    waiting = any(state.state != READY for state in states)
    refresh = '<meta http-equiv="refresh" content="5">\n' if waiting else ""
    return PAGE.format(refresh=refresh, demos="\n".join(articles), mlflow=escape(settings.mlflow_address))


async def announce(client: httpx.AsyncClient, settings: StartPageSettings, pause: float = 2.0) -> None:
    """Write one line of addresses to the log when every service has a model, and then end."""
    demos = settings.demos
    while not all([(await state_of(client, demo)).state == READY for demo in demos]):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(pause)
    named = {"all of it": settings.address, "MLflow": settings.mlflow_address}
    named |= {demo.title: demo.address for demo in demos}
    sys.stdout.write("   ".join(["Ready.", *(f"{name}: {address}" for name, address in named.items())]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(StartPageSettings())
