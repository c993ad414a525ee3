"""From a training to a model that serves, and back: a real MLflow server, a real service that follows its alias.

The fixtures are the steps of one story, each built on the one before; a test asks for the step that it looks at.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from rich.console import Console

from image_classifier.config import TrainConfig
from image_classifier.evaluation.evaluate import evaluate
from image_classifier.evaluation.out_of_distribution import draw_pictures
from image_classifier.models.predictor import Predictor
from image_classifier.train import PROJECT, Trained
from mlflow_server import running_server
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import rollback
from portfolio_shared.training import run
from processes import free_port

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.1

Service = Any  # of the root conftest.py
Probabilities = dict[str, float]


@dataclass
class Registry:
    """The MLflow server of this module, and the trainings that go through its gate."""

    config: TrainConfig

    def train(self, model: Trained) -> None:
        """Do what `image-classifier train` does after the fit: write, log, register, pass the gate."""
        project = replace(PROJECT, learn=lambda *_: model, draw=lambda evaluation, candidates, folder: folder.mkdir())
        run(project, self.config, Console(quiet=True))

    def aliases(self) -> dict[str, str]:
        with tracking_client(self.config.tracking_uri) as client:
            found = client.get_registered_model("image-classifier").aliases
            return {alias: str(version) for alias, version in found.items()}

    def gate(self, version: str) -> str:
        """Return the words of the gate about a version."""
        with tracking_client(self.config.tracking_uri) as client:
            return str(client.get_model_version("image-classifier", version).tags["gate"])


@dataclass
class Story:
    """What a step leaves to look at: the aliases, and the version and the answer of the service."""

    registry: Registry
    service: Service
    aliases: dict[str, str]
    version: str
    answer: Probabilities


@pytest.fixture(scope="module")
def registry(train_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run an MLflow server that belongs to this module; figures are no matter of the gate."""
    output = tmp_path_factory.mktemp("trained") / "bundle"
    with running_server(state=tmp_path_factory.mktemp("mlflow-of-pictures"), port=free_port()) as server:
        yield Registry(train_config.model_copy(update={"tracking_uri": server.uri, "output": output}))


def with_names_exchanged(graph: bytes) -> bytes:
    """Return a graph that gives each class the probability of the one before it."""
    model = onnx.load_from_string(graph)
    (maker,) = [node for node in model.graph.node if "probabilities" in node.output]
    maker.output[list(maker.output).index("probabilities")] = "right"
    n_classes = next(out for out in model.graph.output if out.name == "probabilities").type.tensor_type.shape.dim[1]
    order = np.roll(np.arange(n_classes.dim_value), 1)
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    model.graph.node.append(helper.make_node("Gather", ["right", "order"], ["probabilities"], axis=1))
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def poor(trained: Trained) -> Trained:
    """Return a model that sees as much and names it wrongly."""
    ours = trained.predictor
    predictor = Predictor(with_names_exchanged(ours._graph), ours._novelty, ours.rules, ours.examples)
    evaluation = evaluate(predictor, trained.split, others=draw_pictures(each=1))
    return replace(trained, predictor=predictor, evaluation=evaluation)


@pytest.fixture(scope="module")
def picture(trained: Trained) -> Path:
    """Return the test picture that the model is surest of."""
    return trained.split.test[int(trained.evaluation.probabilities.max(axis=1).argmax())].path


@pytest.fixture(scope="module")
def look(picture: Path) -> Callable[[Registry, Service], Story]:
    """Return a function that asks the registry for its aliases and the service for the names of a picture."""

    def look(registry: Registry, service: Service) -> Story:
        files = {"files": (picture.name, picture.read_bytes())}
        answer = service.client.post("/v1/classifications", files=files).raise_for_status().json()
        (result,) = answer["results"]
        found = {item["label"]: item["probability"] for item in result["predictions"]}
        return Story(registry, service, registry.aliases(), answer["model"]["version"], found)

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
    with running_service("image-classifier", folder, tracking_uri=registry.config.tracking_uri, **settings) as service:
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
def brought(worse: Story, pets: Trained, look: Callable[[Registry, Service], Story]) -> Story:
    """Step 4: somebody trains on pictures of other classes."""
    worse.registry.train(pets)
    worse.service.follows_to("4")
    return look(worse.registry, worse.service)


@pytest.fixture(scope="module")
def rolled_back(brought: Story, look: Callable[[Registry, Service], Story]) -> Story:
    """Step 5: that is taken back."""
    assert rollback("image-classifier", tracking_uri=brought.registry.config.tracking_uri).version == "2"
    brought.service.follows_to("2")
    return look(brought.registry, brought.service)


def answer_of(model: Trained, picture: Path) -> Probabilities:
    """Return what a training measured for a test picture."""
    (number,) = [i for i, photo in enumerate(model.split.test) if photo.path == picture]
    found = model.evaluation.probabilities[number]
    return dict(zip(model.data.labels, found.tolist(), strict=True))


def test_the_first_model_is_champion_by_the_gate_and_serves(first: Story, poor: Trained, picture: Path) -> None:
    assert first.aliases == {"champion": "1"}
    assert first.registry.gate("1").startswith("first champion")
    assert first.service.client.get("/v1/model").json()["origin"] == "registry"
    assert first.version == "1"
    assert first.answer == pytest.approx(answer_of(poor, picture), abs=1e-6)


def test_a_better_model_is_promoted_and_the_service_follows(better: Story, trained: Trained, picture: Path) -> None:
    assert better.aliases == {"champion": "2"}
    assert better.registry.gate("2").startswith("better: difference -")
    assert better.version == "2"
    assert better.answer == pytest.approx(answer_of(trained, picture), abs=1e-6)


def test_a_worse_model_is_refused_and_the_champion_stays(worse: Story, better: Story) -> None:
    assert worse.aliases == {"champion": "2", "challenger": "3"}
    assert worse.registry.gate("3").startswith("worse: difference ")
    assert (worse.version, worse.answer) == ("2", better.answer)


def test_a_champion_of_other_classes_is_replaced_and_the_service_names_the_new_ones(brought: Story) -> None:
    """There is nothing to compare: who trains on cats and dogs does not want flowers to be served."""
    assert brought.aliases["champion"] == "4"
    assert "it names daisy, dandelion, rose, sunflower, tulip, this cat, dog" in brought.registry.gate("4")
    assert brought.version == "4"
    assert set(brought.answer) == {"cat", "dog"}
    assert brought.service.client.get("/v1/labels").json()["labels"] == ["cat", "dog"]


def test_rolling_back_brings_the_old_model_back(rolled_back: Story, better: Story) -> None:
    assert rolled_back.aliases["champion"] == "2"
    assert (rolled_back.version, rolled_back.answer) == ("2", better.answer)
