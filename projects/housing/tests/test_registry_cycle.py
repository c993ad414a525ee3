"""From a training to a model that serves, and back: a real MLflow server, a real service, and requests all the time.

The fixtures are the steps of one story, each built on the one before; a test asks for the step that it looks at.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from housing.candidates import LINEAR, TREES
from housing.config import LinearSettings, ModelSettings, TrainConfig, TreeSettings
from housing.evaluate import evaluate
from housing.fit import fit_predictor
from housing.model import MemberPrices, Predictor
from housing.schemas import EXAMPLE
from housing.train import Trained, describe, track, write
from portfolio_shared.bundle import bundle_digest
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.gate import pass_gate
from portfolio_shared.tracking.registry import GateDecision, ModelVersion, rollback
from portfolio_shared.tracking.server import MlflowServer, free_port, running_server

pytestmark = pytest.mark.slow

HOUSING = str(Path(sys.executable).with_name("housing"))
POLL_SECONDS = 0.1


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.02)


@dataclass
class Service:
    """A running `housing serve`."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    out: Path
    err: Path

    def version(self) -> str | None:
        answer = self.client.get("/readyz")
        return str(answer.json()["model"]["version"]) if answer.is_success else None

    def follows_to(self, version: str) -> None:
        eventually(lambda: self.version() == version, f"the service serves version {version}")

    def metric(self, name: str) -> float:
        found = re.search(rf"^{name} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        assert found is not None, f"no metric {name}"
        return float(found[1])

    def price(self) -> tuple[str, float]:
        body = self.client.post("/v1/predictions", json={"houses": [EXAMPLE]}).json()
        return body["model"]["version"], body["predictions"][0]["price"]


@contextmanager
def running_service(folder: Path, tracking_uri: str, cache: Path) -> Iterator[Service]:
    """Run the service as a person would; it must end by itself when it is told to."""
    folder.mkdir()
    port = free_port()
    settings = {
        "HOUSING_PORT": str(port),
        "HOUSING_TRACKING_URI": tracking_uri,
        "HOUSING_MODEL_CACHE": str(cache),
        "HOUSING_MODEL_POLL_SECONDS": str(POLL_SECONDS),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOUSING_")} | settings
    out, err = folder / "out.log", folder / "err.log"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([HOUSING, "serve"], cwd=folder, env=environment, stdout=stdout, stderr=stderr)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            eventually(lambda: answers(client) or process.poll() is not None, "the service answers")
            assert process.poll() is None, err.read_text()
            yield Service(process, client, out, err)
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


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
        write(self.config.output, model.predictor, describe(self.config, model))
        track(self.config, model, Console(quiet=True))

    def aliases(self) -> dict[str, str]:
        with tracking_client(self.server.uri) as client:
            return {alias: str(version) for alias, version in client.get_registered_model("housing").aliases.items()}

    def gate(self, version: str) -> str:
        """Return the words of the gate about a version."""
        with tracking_client(self.server.uri) as client:
            return str(client.get_model_version("housing", version).tags["gate"])

    def stored_bundle(self, version: ModelVersion) -> Path:
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
    training, test, candidates = trained.training, trained.test, trained.candidates
    out_of_fold = MemberPrices(candidates[LINEAR].log_prices, candidates[TREES].log_prices)
    predictor = fit_predictor(
        training.records, training.prices, settings, out_of_fold, out_of_fold, threads=train_config.threads
    )
    evaluation = evaluate(predictor, test, candidates[LINEAR].log_prices, training.prices)
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
def first(registry: Registry, poor: Trained, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Step 1: the poor model is the first, so it is the champion; a service starts, and requests come from now on."""
    registry.train(poor)
    folder = tmp_path_factory.mktemp("service") / "one"
    with running_service(folder, registry.server.uri, cache) as service:
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
def damaged(rolled_back: Story, trained: Trained) -> Story:
    """Step 5: the better model is promoted again, but one byte of it changes in the artifact store before that."""
    registry = rolled_back.registry

    def damage_and_pass(version: ModelVersion, *steps: Callable[..., object], **options: str) -> GateDecision:
        path = registry.stored_bundle(version) / "linear.npz"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        return pass_gate(version, *steps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("portfolio_shared.tracking.training.pass_gate", damage_and_pass)
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
def ended(orphaned: Story) -> Story:
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
    refusals = [line for line in log_of(damaged.service) if "refused" in line["message"]]
    assert "linear.npz" in refusals[0]["message"]
    assert len(refusals) == 1


def test_without_mlflow_a_running_service_goes_on(orphaned: Story, poor: Trained) -> None:
    assert orphaned.service.price() == ("1", pytest.approx(price_of(poor.predictor)))


def test_without_mlflow_a_new_service_starts_on_its_last_good_bundle(
    orphaned: Story, poor: Trained, cache: Path, tmp_path: Path
) -> None:
    with running_service(tmp_path / "two", orphaned.registry.server.uri, cache) as service:
        assert service.client.get("/v1/model").json()["origin"] == "cache"
        assert service.price() == ("1", pytest.approx(price_of(poor.predictor)))


def test_without_mlflow_and_without_a_cache_a_service_is_alive_but_not_ready(orphaned: Story, tmp_path: Path) -> None:
    with running_service(tmp_path / "three", orphaned.registry.server.uri, tmp_path / "empty") as service:
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
    swaps = [line["message"] for line in log_of(ended.service) if line["message"].startswith("serving ")]

    assert swaps == [f"serving housing version {version} from registry" for version in ("1", "2", "1")]
    assert ended.service.err.read_text() == ""


def log_of(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.out.read_text().splitlines()]


def price_of(predictor: Predictor) -> float:
    return predictor.predict([EXAMPLE])[0].price
