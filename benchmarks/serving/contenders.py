"""Who takes part: how each contender is started, and what it is asked; the models and inputs are the same."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from housing.serving.schemas import EXAMPLE_REQUEST
from portfolio_shared.serving.schemas import ExampleRequest
from recommender.data.catalogue import load_catalogue
from recommender.models.predictor import CATALOGUE_FILE

BIN = Path(sys.executable).parent
SERVERS = Path(__file__).parent / "servers"
HISTORY = 50
OURS, HEALTHZ, BARE = "ours", "our /healthz", "bare FastAPI"


@dataclass(frozen=True)
class Contender:
    """A service that is started once and asked again and again.

    Attributes
    ----------
    command
        With ``{port}`` where the port belongs.
    requests
        Name of a row -> what is asked.
    ready
        The path that answers 200 as soon as it can answer the others.
    """

    name: str
    command: Sequence[str]
    requests: Mapping[str, ExampleRequest]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)


def contenders(project: str, bundle: Path) -> list[Contender]:
    """Return the contenders of a project, ours first."""
    request = {"housing": lambda: EXAMPLE_REQUEST, "recommender": lambda: films(bundle)}[project]()
    return [ours(project, bundle, request), bare(request)]


def ours(project: str, bundle: Path, request: ExampleRequest) -> Contender:
    """Return our service as `serve` starts it, and its own request that does nothing."""
    command = [str(BIN / project), "serve", "--bundle", str(bundle), "--port", "{port}"]
    return Contender(OURS, command, {OURS: request, HEALTHZ: ExampleRequest("/healthz", b"")}, "/readyz")


def bare(request: ExampleRequest) -> Contender:
    """Return FastAPI on uvicorn, which reads the same body and does nothing with it."""
    asked = ExampleRequest("/answers", request.body)
    return Contender(BARE, uvicorn("bare"), {BARE: asked}, "/openapi.json")


def uvicorn(module: str) -> list[str]:
    """Return the command of one process of uvicorn at its fastest."""
    fast = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return [sys.executable, "-m", "uvicorn", "--app-dir", str(SERVERS), f"{module}:app", "--port", "{port}", *fast]


def films(bundle: Path) -> ExampleRequest:
    """Return a request for ten films: for 50 of the 500 that most people rated, with every number of stars."""
    ranked = sorted(load_catalogue(bundle / CATALOGUE_FILE).films, key=lambda film: -film.n_ratings)[: 10 * HISTORY]
    stars = cycle(half / 2 for half in range(1, 11))
    history = [{"film_id": film.id, "rating": next(stars)} for film in ranked[:: len(ranked) // HISTORY][:HISTORY]]
    return ExampleRequest("/v1/recommendations", json.dumps({"history": history, "k": 10}).encode())


def environment(contender: Contender, project: str, folder: Path) -> dict[str, str]:
    """Return what the process gets: defaults of the service, and its prediction log in a folder that goes away."""
    prefix = f"{project.upper().replace('-', '_')}_"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "PORTFOLIO_PREDICTION_LOG": f"sqlite:///{folder}/log.db"} | dict(contender.environment)
