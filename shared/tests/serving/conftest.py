"""The demo service, for the tests of requests, limits and operations; a holder of the toy project's models."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from demo_service import PAGE, DemoSettings, FakeHolder, create_app, serving
from pydantic_settings import SettingsConfigDict
from two_models import SHARE, higher

from portfolio_shared.operations.store import LoggedPrediction, connect
from portfolio_shared.serving.models import ModelHolder
from portfolio_shared.serving.settings import ServiceSettings


@pytest.fixture
def models() -> FakeHolder:
    return FakeHolder()


@pytest.fixture
def web(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "page.js").write_text("// nothing\n")
    return tmp_path


@pytest.fixture
def client(models: FakeHolder, web: Path) -> Iterator[httpx.Client]:
    settings = DemoSettings(max_body_bytes=2000, request_timeout_seconds=0.3, max_concurrent_requests=3)
    with serving(create_app(settings, models, web)) as client:
        yield client


@pytest.fixture
def challengers() -> FakeHolder:
    """Return the holder of a second model, version 8."""
    return FakeHolder("8", higher)


@pytest.fixture
def canary(models: FakeHolder, challengers: FakeHolder, web: Path) -> Iterator[httpx.Client]:
    settings = DemoSettings(rollout="canary", canary_share=SHARE, subject_key="key")
    with serving(create_app(settings, models, web, challengers=challengers)) as client:
        yield client


@pytest.fixture
def log_url(tmp_path: Path) -> str:
    """Return the address of a prediction log that is not there yet."""
    return f"sqlite:///{tmp_path}/log/log.db"


@pytest.fixture
def logging_service(web: Path, log_url: str) -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Return a context manager: **settings -> client of the demo service, which keeps its predictions."""

    def start(**changes: Any) -> AbstractContextManager[httpx.Client]:
        settings: dict[str, Any] = {"prediction_log": log_url, "subject_key": "key"} | changes
        return serving(create_app(DemoSettings(**settings), web=web))

    return start


@pytest.fixture
def logged(log_url: str) -> Callable[[], list[LoggedPrediction]]:
    """Return a function that reads all predictions of the demo."""

    def read() -> list[LoggedPrediction]:
        with closing(connect(log_url)) as store:
            return list(store.predictions("demo", since=0, until=1e12))

    return read


class ToySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    port: int = 0
    model_name: str = "toy"
    model_poll_seconds: float = 0.01


def smoke_test(predictor: Any) -> None:
    price = predictor.predict(10.0)
    if price <= 0:
        raise ValueError(f"10 square meters for {price}")


@pytest.fixture
def new_holder(fake_registry: Any, tmp_path: Path, load_toy: Callable[[Path], Any]) -> Callable[..., ModelHolder[Any]]:
    """Start a service: its cache outlives it, as a volume does; keywords replace settings and what else it takes."""

    def make(**changes: Any) -> ModelHolder[Any]:
        functions = {name: changes.pop(name, usual) for name, usual in usual_functions.items()}
        settings = {"tracking_uri": fake_registry.uri, "model_cache": tmp_path / "cache"} | changes
        return ModelHolder(settings=ToySettings(**settings), project="toy", **functions)

    usual_functions: dict[str, Any] = {"load": load_toy, "smoke_test": smoke_test, "alias": None}
    return make
