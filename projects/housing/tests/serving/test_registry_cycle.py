"""From a training to a model that serves, and back: a real MLflow server, a real service, and requests all the time.

The fixtures are the steps of one story, each built on the one before; a test asks for the step that it looks at.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from housing.config import LinearSettings, ModelSettings, TrainConfig, TreeSettings
from housing.data.house import EXAMPLE
from housing.evaluation.evaluate import evaluate
from housing.models.fit import fit
from housing.models.predictor import Predictor
from housing.train import PROJECT, Trained
from mlflow_server import MlflowServer, running_server
from portfolio_shared.bundle import bundle_digest
from portfolio_shared.serving.registry_client import RegisteredVersion
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.registry import GateDecision, rollback
from portfolio_shared.training import run
from processes import free_port

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.1

Service = Any  # of the root conftest.py
Eventually = Callable[[Callable[[], object], str], None]
Serve = Callable[[Path, str, Path], AbstractContextManager[Service]]


@pytest.fixture(scope="module")
def serve(running_service: Callable[..., AbstractContextManager[Service]]) -> Serve:
    """Return a context manager: (folder, tracking_uri, cache) -> a service that follows the registry."""

    def serve(folder: Path, tracking_uri: str, cache: Path) -> AbstractContextManager[Service]:
        settings = {"tracking_uri": tracking_uri, "model_cache": cache, "model_poll_seconds": POLL_SECONDS}
        return running_service("housing", folder, **settings)

    return serve


def price_from(service: Service) -> tuple[str, float]:
    body = service.client.post("/v1/predictions", json={"houses": [EXAMPLE]}).json()
    return body["model"]["version"], body["predictions"][0]["price"]


@dataclass
class Load:
    """Asks for the price of the example again and again, and keeps every answer and every failure."""

    service: Service
    answers: list[tuple[str, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(base_url=self.service.client.base_url, trust_env=False, timeout=30) as client:
            while not self.stop.wait(0.003):
                try:
                    response = client.post("/v1/predictions", json={"houses": [EXAMPLE]})
                    body = response.raise_for_status().json()
                    self.answers.append((body["model"]["version"], body["predictions"][0]["price"]))
                except (httpx.HTTPError, ValueError, LookupError) as error:
                    self.failures.append(repr(error))

    def versions(self) -> list[str]:
        """Return the versions that answered, in order, each run of one version once."""
        seen = [version for version, _ in self.answers]
        return [version for i, version in enumerate(seen) if i == 0 or version != seen[i - 1]]


@dataclass
class Registry:
    """The MLflow server of this module, and the trainings that go through its gate."""

    server: MlflowServer
    config: TrainConfig
    state: Path

    def train(self, model: Trained) -> None:
        """Do what `housing train` does after the fit: write, log, register, pass the gate."""
        run(replace(PROJECT, learn=lambda *_: model), self.config, Console(quiet=True))

    def aliases(self) -> dict[str, str]:
        with tracking_client(self.server.uri) as client:
            return {alias: str(version) for alias, version in client.get_registered_model("housing").aliases.items()}

    def gate(self, version: str) -> str:
        """Return the words of the gate about a version."""
        with tracking_client(self.server.uri) as client:
            return str(client.get_model_version("housing", version).tags["gate"])

    def stored_bundle(self, version: RegisteredVersion) -> Path:
        (folder,) = (
            manifest.parent
            for manifest in (self.state / "artifacts").rglob("bundle.json")
            if bundle_digest(manifest.parent) == version.bundle_sha256
        )
        return folder


@pytest.fixture(scope="module")
def poor(trained: Trained, train_config: TrainConfig) -> Trained:
    """Train a model that learns next to nothing: three trees, and a ridge that allows no slope."""
    settings = ModelSettings(linear=LinearSettings(ridge=1e5), trees=TreeSettings(iterations=3))
    predictor = fit(trained.split, settings, trained.candidates[trained.chosen], threads=train_config.threads)
    evaluation = evaluate(predictor, trained.split)
    return replace(trained, settings=settings, predictor=predictor, evaluation=evaluation)


@pytest.fixture(scope="module")
def registry(train_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run an MLflow server that belongs to this module, which ends by stopping it."""
    state = tmp_path_factory.mktemp("mlflow-of-housing")
    with running_server(state=state, port=free_port()) as server:
        output = tmp_path_factory.mktemp("trained") / "bundle"
        yield Registry(server, train_config.model_copy(update={"tracking_uri": server.uri, "output": output}), state)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "models"


@dataclass
class Story:
    """What a step leaves to look at."""

    registry: Registry
    service: Service
    load: Load
    aliases: dict[str, str]

    def after(self) -> "Story":
        return replace(self, aliases=self.registry.aliases())


@pytest.fixture(scope="module")
def first(
    *,
    serve: Serve,
    registry: Registry,
    poor: Trained,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
    eventually: Eventually,
) -> Iterator[Story]:
    """Step 1: the poor model is the first, so it is the champion; a service starts, and requests come from now on."""
    registry.train(poor)
    folder = tmp_path_factory.mktemp("service") / "one"
    with serve(folder, registry.server.uri, cache) as service:
        load = Load(service)
        thread = threading.Thread(target=load.run)
        thread.start()
        try:
            eventually(lambda: len(load.answers) > 20 or load.failures, "the first answers")
            yield Story(registry, service, load, registry.aliases())
        finally:
            load.stop.set()
            thread.join()


@pytest.fixture(scope="module")
def better(first: Story, trained: Trained) -> Story:
    """Step 2: a better model passes the gate."""
    first.registry.train(trained)
    first.service.follows_to("2")
    return first.after()


@pytest.fixture(scope="module")
def worse(better: Story, poor: Trained) -> Story:
    """Step 3: the poor model comes again, and the service looks at the alias a few more times."""
    better.registry.train(poor)
    time.sleep(5 * POLL_SECONDS)
    return better.after()


@pytest.fixture(scope="module")
def rolled_back(worse: Story) -> Story:
    """Step 4: version 2 is taken back."""
    assert rollback("housing", tracking_uri=worse.registry.server.uri).version == "1"
    worse.service.follows_to("1")
    return worse.after()


@pytest.fixture(scope="module")
def damaged(rolled_back: Story, trained: Trained, eventually: Eventually) -> Story:
    """Step 5: the better model is promoted again, but one byte of it changes in the artifact store before that."""
    registry = rolled_back.registry

    def damage_and_pass(version: RegisteredVersion, *steps: Callable[..., object], **options: str) -> GateDecision:
        path = registry.stored_bundle(version) / "linear.npz"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return pass_gate(version, *steps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portfolio_shared.training.pass_gate", damage_and_pass)
        registry.train(trained)
    eventually(lambda: rolled_back.service.metric("model_refused_bundles_total") > 0, "the bundle is refused")
    time.sleep(5 * POLL_SECONDS)
    return rolled_back.after()


@pytest.fixture(scope="module")
def orphaned(damaged: Story) -> Story:
    """Step 6: MLflow is gone, and the service looks for it a few times."""
    damaged.registry.server.stop()
    time.sleep(5 * POLL_SECONDS)
    return damaged


@pytest.fixture(scope="module")
def ended(orphaned: Story, eventually: Eventually) -> Story:
    """Step 7: the requests end."""
    seen = len(orphaned.load.answers)
    eventually(lambda: len(orphaned.load.answers) > seen + 20 or orphaned.load.failures, "more answers")
    orphaned.load.stop.set()
    return orphaned


def test_the_first_model_is_champion_by_the_gate(first: Story) -> None:
    assert first.aliases == {"champion": "1"}
    assert first.registry.gate("1").startswith("first champion")


def test_the_service_says_which_model_it_took_from_the_registry(first: Story) -> None:
    model = first.service.client.get("/v1/model").json()

    with tracking_client(first.registry.server.uri) as client:
        run_id = client.get_model_version("housing", "1").run_id
    assert (model["name"], model["origin"], model["run_id"]) == ("housing", "registry", run_id)


def test_a_better_model_is_promoted_and_the_service_follows(better: Story) -> None:
    assert better.aliases == {"champion": "2"}
    assert better.registry.gate("2").startswith("better: difference -")


def test_a_worse_model_is_refused_and_the_champion_stays(worse: Story) -> None:
    assert worse.aliases == {"champion": "2", "challenger": "3"}
    assert worse.registry.gate("3").startswith("worse: difference 0.")
    assert "3" not in worse.load.versions()


def test_rolling_back_brings_the_old_model_back(rolled_back: Story) -> None:
    assert rolled_back.aliases["champion"] == "1"


def test_a_flipped_byte_is_refused_and_the_old_model_stays(damaged: Story) -> None:
    assert damaged.aliases["champion"] == "4"
    assert damaged.service.version() == "1"
    # Once: a bundle that is refused is not downloaded again at every look at the alias.
    assert damaged.service.metric("model_refused_bundles_total") == 1
    refusals = [line for line in damaged.service.log() if "refused" in line["message"]]
    assert "linear.npz" in refusals[0]["message"]
    assert len(refusals) == 1


def test_without_mlflow_a_running_service_goes_on(orphaned: Story, poor: Trained) -> None:
    assert price_from(orphaned.service) == ("1", pytest.approx(price_of(poor.predictor)))


def test_without_mlflow_a_new_service_starts_on_its_last_good_bundle(
    serve: Serve, orphaned: Story, poor: Trained, cache: Path, tmp_path: Path
) -> None:
    with serve(tmp_path / "two", orphaned.registry.server.uri, cache) as service:
        assert service.client.get("/v1/model").json()["origin"] == "cache"
        assert price_from(service) == ("1", pytest.approx(price_of(poor.predictor)))


def test_without_mlflow_and_without_a_cache_a_service_is_alive_but_not_ready(
    serve: Serve, orphaned: Story, tmp_path: Path
) -> None:
    with serve(tmp_path / "three", orphaned.registry.server.uri, tmp_path / "empty") as service:
        assert service.version() is None
        assert orphaned.registry.server.uri in service.client.get("/readyz").json()["detail"]
        # A model that is in none of its places is waited for, not invented.
        assert service.client.post("/v1/predictions", json={"houses": [EXAMPLE]}).status_code == 503


def test_not_one_request_failed_through_all_of_it(ended: Story) -> None:
    assert ended.load.failures == []
    assert ended.load.versions() == ["1", "2", "1"]
    assert len(ended.load.answers) > 200


def test_every_answer_is_the_price_of_the_model_that_it_names(ended: Story, poor: Trained, trained: Trained) -> None:
    price = {"1": price_of(poor.predictor), "2": price_of(trained.predictor)}

    assert abs(price["1"] - price["2"]) > 1000
    assert set(ended.load.answers) == set(price.items())


def test_the_log_is_json_lines_and_nothing_else(ended: Story) -> None:
    swaps = [line["message"] for line in ended.service.log() if line["message"].startswith("serving ")]

    assert swaps == [f"serving housing version {version} from registry" for version in ("1", "2", "1")]


def price_of(predictor: Predictor) -> float:
    return predictor.predict([EXAMPLE])[0].price
