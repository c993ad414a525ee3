"""A service on the trained model, and what tests ask it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recommender.config import ServeSettings
from recommender.models.predictor import Seen
from recommender.serving.app import create_app
from recommender.train import Trained

Json = dict[str, Any]
Serving = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def service(serving: Serving, bundle: Path) -> Iterator[httpx.Client]:
    with serving(create_app(ServeSettings(bundle=bundle, max_body_bytes=20_000_000))) as client:
        yield client


@pytest.fixture(scope="session")
def histories(trained: Trained) -> list[list[Seen]]:
    """Return what users of the test saw before it, oldest first, with their stars."""
    task = trained.evaluation.task
    films = [film.id for film in task.catalogue.films]
    return [
        [Seen(films[item], float(stars)) for item, stars in zip(*task.history(user), strict=True)]
        for user in task.users[:30].tolist()
    ]


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
