"""From a training to a model that serves, and back: a real MLflow server, a real service that follows its alias.

The fixtures are the steps of one story, each built on the one before; a test asks for the step that it looks at.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from mlflow_server import running_server
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import rollback
from portfolio_shared.training import run
from processes import free_port
from recommender.config import TrainConfig
from recommender.evaluation.evaluate import evaluate
from recommender.models.predictor import Predictor, Seen
from recommender.train import PROJECT, Trained

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.1

Service = Any  # of the root conftest.py


@dataclass
class Registry:
    """The MLflow server of this module, and the trainings that go through its gate."""

    config: TrainConfig

    def train(self, model: Trained) -> None:
        """Do what `recommender train` does after the fit: write, log, register, pass the gate."""
        run(replace(PROJECT, learn=lambda *_: model), self.config, Console(quiet=True))

    def aliases(self) -> dict[str, str]:
        with tracking_client(self.config.tracking_uri) as client:
            aliases = client.get_registered_model("recommender").aliases
            return {alias: str(version) for alias, version in aliases.items()}

    def gate(self, version: str) -> str:
        """Return the words of the gate about a version."""
        with tracking_client(self.config.tracking_uri) as client:
            return str(client.get_model_version("recommender", version).tags["gate"])


@dataclass
class Story:
    """What a step leaves to look at: the aliases, and the version and the films that the service answers with."""

    registry: Registry
    service: Service
    aliases: dict[str, str]
    version: str
    films: list[int]


@pytest.fixture(scope="module")
def registry(train_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run an MLflow server that belongs to this module."""
    with running_server(state=tmp_path_factory.mktemp("mlflow-of-films"), port=free_port()) as server:
        output = tmp_path_factory.mktemp("trained") / "bundle"
        yield Registry(train_config.model_copy(update={"tracking_uri": server.uri, "output": output}))


@pytest.fixture(scope="module")
def poor(trained: Trained) -> Trained:
    """Return a model that has learned nothing: its films lie in random directions."""
    model = trained.predictor.model
    noise = np.random.default_rng(0).normal(size=model.factors.shape).astype(model.factors.dtype)
    predictor = replace(trained.predictor, model=replace(model, factors=noise))
    return replace(trained, predictor=predictor, evaluation=evaluate(predictor, trained.split))


@pytest.fixture(scope="module")
def history(trained: Trained) -> list[Seen]:
    return [Seen(film.id) for film in trained.predictor.catalogue.films[:3]]


@pytest.fixture(scope="module")
def look(history: list[Seen]) -> Callable[[Registry, Service], Story]:
    """Return a function that asks the registry for its aliases and the service for films."""

    def look(registry: Registry, service: Service) -> Story:
        request = {"history": [{"film_id": seen.film_id} for seen in history]}
        answer = service.client.post("/v1/recommendations", json=request).raise_for_status().json()
        films = [item["film"]["film_id"] for item in answer["recommendations"]]
        return Story(registry, service, registry.aliases(), answer["model"]["version"], films)

    return look


@pytest.fixture(scope="module")
def first(
    *,
    running_service: Callable[..., AbstractContextManager[Service]],
    look: Callable[[Registry, Service], Story],
    registry: Registry,
    poor: Trained,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    """Step 1: the poor model is the first, so it is the champion, and a service starts on it."""
    registry.train(poor)
    folder = tmp_path_factory.mktemp("service")
    settings = {"model_cache": folder / "cache", "model_poll_seconds": POLL_SECONDS}
    with running_service("recommender", folder, tracking_uri=registry.config.tracking_uri, **settings) as service:
        service.follows_to("1")
        yield look(registry, service)


@pytest.fixture(scope="module")
def better(first: Story, trained: Trained, look: Callable[[Registry, Service], Story]) -> Story:
    """Step 2: a better model passes the gate."""
    first.registry.train(trained)
    first.service.follows_to("2")
    return look(first.registry, first.service)


@pytest.fixture(scope="module")
def worse(better: Story, poor: Trained, look: Callable[[Registry, Service], Story]) -> Story:
    """Step 3: the poor model comes again, and the service looks at the alias a few more times."""
    better.registry.train(poor)
    time.sleep(5 * POLL_SECONDS)
    return look(better.registry, better.service)


@pytest.fixture(scope="module")
def rolled_back(worse: Story, look: Callable[[Registry, Service], Story]) -> Story:
    """Step 4: version 2 is taken back."""
    assert rollback("recommender", tracking_uri=worse.registry.config.tracking_uri).version == "1"
    worse.service.follows_to("1")
    return look(worse.registry, worse.service)


def films_of(predictor: Predictor, history: list[Seen]) -> list[int]:
    return [item.film.id for item in predictor.recommend(history).recommendations]


def test_the_first_model_is_champion_by_the_gate_and_serves(first: Story, poor: Trained, history: list[Seen]) -> None:
    assert first.aliases == {"champion": "1"}
    assert first.registry.gate("1").startswith("first champion")
    assert first.service.client.get("/v1/model").json()["origin"] == "registry"
    assert (first.version, first.films) == ("1", films_of(poor.predictor, history))


def test_a_better_model_is_promoted_and_the_service_follows(
    better: Story, first: Story, trained: Trained, history: list[Seen]
) -> None:
    assert better.aliases == {"champion": "2"}
    assert better.registry.gate("2").startswith("better: difference -")
    assert (better.version, better.films) == ("2", films_of(trained.predictor, history))
    assert better.films != first.films


def test_a_worse_model_is_refused_and_the_champion_stays(worse: Story, better: Story) -> None:
    assert worse.aliases == {"champion": "2", "challenger": "3"}
    assert worse.registry.gate("3").startswith("worse: difference 0.")
    assert (worse.version, worse.films) == ("2", better.films)


def test_rolling_back_brings_the_old_model_back(rolled_back: Story, first: Story) -> None:
    assert rolled_back.aliases["champion"] == "1"
    assert (rolled_back.version, rolled_back.films) == ("1", first.films)
