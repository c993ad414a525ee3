"""One page with the way to every demo and the state of its model, which is asked anew for every view.

It needs no JavaScript: while a model is not there yet the page asks the browser to come back.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import portfolio_shared.serving

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
{refresh}<title>Machine learning that runs</title>
<link rel="icon" href="static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/style.css">
<link rel="stylesheet" href="index/index.css">
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
READY = "ready"
DEMO = """<article class="demo" data-testid="{project}" data-state="{state}">
<h2><a href="{address}">{title}</a></h2>
<p>{lead}</p>
<p class="demo-state"><strong>{headline}</strong> {detail}</p>
<p><a href="{address}/docs">API</a> <a href="{address}/v1/model">Model as JSON</a></p>
</article>"""


class Demo(NamedTuple):
    """A service: what it is, where people reach it, and where this container does."""

    project: str
    title: str
    lead: str
    address: str
    internal: str


class State(NamedTuple):
    """Whether a service has a model, in words for a person."""

    state: str
    headline: str
    detail: str


def demos_of(environment: Mapping[str, str], table: Sequence[Mapping[str, Any]]) -> list[Demo]:
    """Return the projects of the table (scripts/project_table.py) whose address a variable names.

    The variable is that of the project, such as HOUSING_ADDRESS; a project without one is not part of this stack.
    """
    return [
        Demo(project["name"], project["title"], project["lead"], address.rstrip("/"), f"http://{project['name']}:8000")
        for project in table
        if (address := environment.get(f"{project['name'].upper().replace('-', '_')}_ADDRESS"))
    ]


def create_app(
    environment: Mapping[str, str],
    table: Sequence[Mapping[str, Any]],
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """Build the app; `transport` stands in for the network in tests."""
    demos = demos_of(environment, table)
    mlflow = environment.get("MLFLOW_ADDRESS", "")
    client = httpx.AsyncClient(timeout=2.0, trust_env=False, transport=transport)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        places = {"all of it": environment.get("INDEX_ADDRESS", ""), "MLflow": mlflow}
        announcement = asyncio.create_task(announce(client, demos, places))
        try:
            yield
        finally:
            announcement.cancel()
            await client.aclose()

    async def page(_: Request) -> Response:
        states = await asyncio.gather(*(state_of(client, demo) for demo in demos))
        return HTMLResponse(render(demos, states, mlflow), headers=HEADERS)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok", headers=HEADERS)

    async def targets(_: Request) -> Response:
        """Answer Prometheus' HTTP service discovery: where the services' metrics are."""
        groups = [{"targets": [f"{demo.project}:8000"], "labels": {"project": demo.project}} for demo in demos]
        return JSONResponse(groups, headers=HEADERS)

    shared = Path(portfolio_shared.serving.__file__).parent / "static"
    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", healthz),
            Route("/targets", targets),
            Mount("/static", StaticFiles(directory=shared)),
            Mount("/index", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        lifespan=lifespan,
    )


async def state_of(client: httpx.AsyncClient, demo: Demo) -> State:
    """Ask a service about its model."""
    try:
        answer = await client.get(f"{demo.internal}/v1/model")
    except httpx.HTTPError:
        return State("waiting", "Not running.", "The service does not answer.")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return State("waiting", "No model yet.", "It is being trained; this page looks again.")
    if answer.status_code != httpx.codes.OK:
        return State("waiting", "Out of order.", f"The service answered {answer.status_code}.")
    model = answer.json()
    created = datetime.fromisoformat(model["created"])
    source = model["data"]["source"]
    learned = "generated sample data: its answers mean nothing" if source == "sample" else model["data"]["name"]
    detail = f"Version {model['version']}, trained on {created:%d %B %Y} on {learned}."
    return State(READY, "Ready.", detail)


def render(demos: Sequence[Demo], states: Sequence[State], mlflow: str) -> str:
    """Return the page."""
    articles = []
    for demo, state in zip(demos, states, strict=True):
        texts = demo._asdict() | state._asdict()
        articles.append(DEMO.format(**{name: escape(text) for name, text in texts.items()}))
    waiting = any(state.state != READY for state in states)
    refresh = '<meta http-equiv="refresh" content="5">\n' if waiting else ""
    return PAGE.format(refresh=refresh, demos="\n".join(articles), mlflow=escape(mlflow))


async def announce(
    client: httpx.AsyncClient, demos: Sequence[Demo], places: Mapping[str, str], pause: float = 2.0
) -> None:
    """Write one line of addresses to the log when every service has a model, and then end."""
    while not all([(await state_of(client, demo)).state == READY for demo in demos]):  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(pause)
    named = {**places, **{demo.title: demo.address for demo in demos}}
    line = "   ".join(f"{name}: {address}" for name, address in named.items())
    sys.stdout.write(f"Ready.   {line}\n")
    sys.stdout.flush()
