"""A service on the trained model, and what tests ask it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recommender.config import ServeSettings
from recommender.serving.app import create_app

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def service(serving: Serving, bundle: Path) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=bundle, max_body_bytes=20_000_000))) as client:
        yield client


@pytest.fixture(scope="session")
def ask() -> Callable[..., Json]:
    """Return a function: (client, history as JSON, options) -> the answer."""

    def ask(client: httpx.Client, history: list[Json], **options: Any) -> Json:
        response = client.post("/v1/recommendations", json={"history": history, **options})
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    return ask


@pytest.fixture(scope="session")
def refused() -> Callable[[httpx.Response], list[Json]]:
    """Return a function: a response with status 422 -> the errors that it names."""

    def refused(response: httpx.Response) -> list[Json]:
        assert response.status_code == 422, response.text
        assert response.headers["content-type"] == "application/problem+json"
        errors: list[Json] = response.json()["errors"]
        return errors

    return refused
