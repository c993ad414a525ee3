"""Who takes part: how each contender is started and what it is asked; models and inputs are the same."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inputs import Inputs

from portfolio_shared.serving.schemas import ExampleRequest

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "servers"
ALL_ADMITTED = {"image-classifier": {"IMAGE_CLASSIFIER_MAX_CONCURRENT_REQUESTS": "64"}}
"""Where a service has fewer places than there are clients: the others refuse nobody."""
PEERS = Path(".state/peers/bin/python")
OURS, HEALTHZ, BARE = "ours", "our /healthz", "bare FastAPI"
TWO, BATCH, TWO_BATCH = "ours, two workers", "ours, 100 houses at once", "ours, two workers, 100 houses at once"
PIPELINE, MLFLOW = "FastAPI, pandas, scikit-learn", "mlflow models serve"
CALL, ANSWER = "decoding and the bare call", "decoded, classified, answer as JSON"
BENTOML, LITSERVE, EAGER = "BentoML", "LitServe", "FastAPI, eager torch"


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
    others
        Number of clients -> name of a row -> what only so many ask.
    """

    name: str
    command: Sequence[str]
    requests: Mapping[str, ExampleRequest]
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[int, Mapping[str, ExampleRequest]] = field(default_factory=dict)


def contenders(project: str, bundle: Path, inputs: Inputs, model: Path) -> list[Contender]:
    """Return the contenders of a project, ours first; `model` is the folder of the same model as MLflow logs it."""
    request, body = inputs.request, inputs.request.body
    asked = ExampleRequest("/answers", body, request.content_type)
    healthz = ExampleRequest("/healthz", b"")
    others = {1: inputs.others} | ({16: {BATCH: inputs.batch}} if inputs.batch else {})
    settings = {"BENCHMARK_PROJECT": project, "BENCHMARK_BUNDLE": str(bundle.absolute())}
    sources = [str(ROOT / each / "src") for each in ("shared", f"projects/{project}")]
    theirs = settings | {"PYTHONPATH": os.pathsep.join([*sources, str(SERVERS)]), "BENTOML_DO_NOT_TRACK": "True"}
    serve = [str(BIN / project), "serve", "--bundle", str(bundle), "--port", "{port}"]
    bento = f"bento:{'Pictures' if project == 'image-classifier' else 'Records'}"
    mlflow = [str(BIN / "mlflow"), "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    lit = [str(PEERS), str(SERVERS / "lit.py"), "{port}"]
    found = [
        Contender(OURS, serve, {OURS: request, HEALTHZ: healthz}, "/readyz", ALL_ADMITTED.get(project, {}), others),
        Contender(MLFLOW, [*mlflow, "--port", "{port}"], {MLFLOW: inputs.invocation}, "/ping"),
        Contender(BENTOML, [str(PEERS), "-m", "bentoml", "serve", bento, *PORT], {BENTOML: asked}, "/readyz", theirs),
        Contender(LITSERVE, lit, {LITSERVE: ExampleRequest("/predict", body, request.content_type)}, "/health", theirs),
    ]
    if project == "image-classifier":
        return [*found, Contender(EAGER, uvicorn("eager"), {EAGER: asked}, "/openapi.json")]
    found.insert(1, Contender(BARE, uvicorn("bare"), {BARE: asked}, "/openapi.json"))
    if project == "housing":
        found.append(Contender(PIPELINE, uvicorn("pipeline"), {PIPELINE: asked}, "/openapi.json"))
        two = {16: {TWO_BATCH: inputs.batch}} if inputs.batch else {}
        found.append(Contender(TWO, [*serve, "--workers", "2"], {TWO: request}, "/readyz", others=two))
    return found


PORT = ("--host", "127.0.0.1", "--port", "{port}")


def uvicorn(module: str) -> list[str]:
    """Return the command of one process of uvicorn at its fastest."""
    fast = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return [sys.executable, "-m", "uvicorn", "--app-dir", str(SERVERS), f"{module}:app", *PORT, *fast]


def environment(contender: Contender, project: str, folder: Path) -> dict[str, str]:
    """Return what the process gets: defaults of the service, and its prediction log in a folder that goes away."""
    prefix = f"{project.upper().replace('-', '_')}_"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    kept |= {"PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}", "BENTOML_HOME": str(folder)}
    return kept | {"PORTFOLIO_PREDICTION_LOG": f"sqlite:///{folder}/log.db"} | dict(contender.environment)
