"""From a training to a model that serves, and back, for every project: a real MLflow server, a real service, requests.

The fixtures are the steps of one story, each built on the one before; a test asks for the step that it looks at.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from registry_actors import Door, Load, Registry, Service, answers_alone, ask
from small_models import SmallModel

from mlflow_server import MlflowServer, local_port
from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.serving.registry_client import RegistryClient
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import promote, rollback

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.1

Eventually = Callable[[Callable[[], object], str], None]
Serve = Callable[[Path, Path], AbstractContextManager[Service]]


@pytest.fixture(scope="module")
def registry(
    small: SmallModel, running_mlflow: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Put a door before the session's MLflow server, through which this story alone goes."""
    door = Door(local_port(running_mlflow.uri))
    artifacts = running_mlflow.log.parent / "artifacts"
    yield Registry(door, small, artifacts, tmp_path_factory.mktemp("trained") / "bundle")
    door.shut()


@pytest.fixture(scope="module")
def expected(small: SmallModel, serving: Any, eventually: Eventually, tmp_path_factory: Any) -> dict[str, str]:
    return answers_alone(small, serving, eventually, tmp_path_factory.mktemp("poor"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "models"


@pytest.fixture(scope="module")
def serve(running_service: Any, registry: Registry) -> Serve:
    """Return a context manager: (folder, cache) -> a service that follows the registry."""

    def serve(folder: Path, cache: Path) -> AbstractContextManager[Service]:
        settings = {"tracking_uri": registry.uri, "model_cache": cache, "model_poll_seconds": POLL_SECONDS}
        return running_service(registry.name, folder, **settings)

    return serve


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
    serve: Serve, registry: Registry, cache: Path, tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> Iterator[Story]:
    """Step 1: the poor model is the first, so it is the champion; a service starts, and requests come from now on."""
    registry.train(registry.small.poor)
    with serve(tmp_path_factory.mktemp("service") / "one", cache) as service:
        service.follows_to("1")
        load = Load(service, registry.small)
        thread = threading.Thread(target=load.run)
        thread.start()
        try:
            eventually(lambda: len(load.answers) > 10 or load.failures, "the first answers")
            yield Story(registry, service, load, registry.aliases())
        finally:
            load.stop.set()
            thread.join()


@pytest.fixture(scope="module")
def better(first: Story) -> Story:
    """Step 2: a better model passes the gate."""
    first.registry.train(first.registry.small.trained, figures=True)
    first.service.follows_to("2")
    return first.after()


@pytest.fixture(scope="module")
def worse(better: Story) -> Story:
    """Step 3: the poor model comes again, and the service looks at the alias a few more times."""
    better.registry.train(better.registry.small.poor)
    time.sleep(5 * POLL_SECONDS)
    return better.after()


@pytest.fixture(scope="module")
def rolled_back(worse: Story) -> Story:
    """Step 4: version 2 is taken back."""
    assert rollback(worse.registry.name, tracking_uri=worse.registry.uri).version == "1"
    worse.service.follows_to("1")
    return worse.after()


def largest_file(bundle: Path) -> str:
    """Return the name of the largest file of a bundle: what was learned."""
    return max(read_manifest(bundle).files, key=lambda name: (bundle / name).stat().st_size)


@pytest.fixture(scope="module")
def damaged(rolled_back: Story, eventually: Eventually) -> Story:
    """Step 5: version 3, which no service has fetched yet, is promoted by hand after one of its bytes has changed."""
    registry = rolled_back.registry
    with RegistryClient(registry.uri) as client:
        version = client.version(registry.name, "3")
    (bundle,) = (
        manifest.parent
        for manifest in registry.artifacts.rglob("bundle.json")
        if bundle_digest(manifest.parent) == version.bundle_sha256
    )
    path = bundle / largest_file(bundle)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    promote(version, "by hand", tracking_uri=registry.uri)
    eventually(lambda: rolled_back.service.metric("model_refused_bundles_total") > 0, "the bundle is refused")
    time.sleep(5 * POLL_SECONDS)
    return rolled_back.after()


@pytest.fixture(scope="module")
def orphaned(damaged: Story, eventually: Eventually) -> Story:
    """Step 6: MLflow is gone, the service looks for it a few times, and then the requests end."""
    damaged.registry.door.shut()
    time.sleep(5 * POLL_SECONDS)
    seen = len(damaged.load.answers)
    eventually(lambda: len(damaged.load.answers) > seen + 10 or damaged.load.failures, "more answers")
    damaged.load.stop.set()
    return damaged


def test_the_first_model_is_champion_by_the_gate_and_serves(first: Story) -> None:
    assert first.aliases == {"champion": "1"}
    assert first.registry.gate("1").startswith("first champion")
    model = first.service.client.get("/v1/model").json()
    assert (model["name"], model["origin"]) == (first.registry.name, "registry")
    assert model["run_id"] == first.registry.run_id("1")


def test_a_better_model_is_promoted_and_the_service_follows(better: Story) -> None:
    assert better.aliases == {"champion": "2"}
    assert better.registry.gate("2").startswith("better: difference -")


def test_its_run_has_intervals_figures_and_the_data_report(better: Story, tmp_path: Path) -> None:
    run_id = better.registry.run_id("2")
    with tracking_client(better.registry.uri) as client:
        logged = client.get_run(run_id).data.metrics
        figures = [file.path for file in client.list_artifacts(run_id, "figures")]
        data = [file.path for file in client.list_artifacts(run_id, "data")]
    for name, interval in better.registry.small.trained.evaluation.metrics.items():
        assert Interval(logged[name], logged[f"{name}_low"], logged[f"{name}_high"]) == interval
    trained = better.registry.small.trained
    better.registry.small.module("train").PROJECT.draw(trained.evaluation, trained.candidates, tmp_path)
    assert sorted(figures) == sorted(f"figures/{path.name}" for path in tmp_path.iterdir())
    assert len(figures) >= 2
    assert data == ["data/report.json"]


def test_candidates_are_logged_while_they_are_measured(small: SmallModel) -> None:
    assert small.notes.children == {name: each.metrics for name, each in small.trained.candidates.items()}


def test_a_worse_model_is_refused_and_the_champion_stays(worse: Story) -> None:
    assert worse.aliases == {"champion": "2"}
    assert worse.registry.gate("3").startswith("worse: difference ")
    assert "3" not in worse.load.versions()


def test_rolling_back_brings_the_old_model_back(rolled_back: Story) -> None:
    assert rolled_back.aliases["champion"] == "1"


def test_a_flipped_byte_is_refused_and_the_old_model_stays(damaged: Story) -> None:
    assert damaged.aliases["champion"] == "3"
    assert damaged.service.version() == "1"
    # Once: a bundle that is refused is not downloaded again at every look at the alias.
    assert damaged.service.metric("model_refused_bundles_total") == 1
    (refusal,) = [line["message"] for line in damaged.service.log() if "refused" in line["message"]]
    assert largest_file(damaged.registry.output) in refusal  # what was trained last


def test_without_mlflow_a_running_service_goes_on(orphaned: Story, expected: dict[str, str]) -> None:
    assert ask(orphaned.service.client, orphaned.registry.small) == ("1", expected["1"])


def test_without_mlflow_a_new_service_starts_on_its_last_good_bundle(
    serve: Serve, orphaned: Story, expected: dict[str, str], cache: Path, tmp_path: Path
) -> None:
    with serve(tmp_path / "two", cache) as service:
        service.wait_for("/readyz")
        assert service.client.get("/v1/model").json()["origin"] == "cache"
        assert ask(service.client, orphaned.registry.small) == ("1", expected["1"])


@pytest.mark.usefixtures("orphaned")
def test_without_mlflow_and_without_a_cache_a_service_is_alive_but_not_ready(
    serve: Serve, registry: Registry, tmp_path: Path
) -> None:
    with serve(tmp_path / "three", tmp_path / "empty") as service:
        assert service.version() is None
        assert "the registry does not answer" in service.client.get("/readyz").json()["detail"]
        assert any(registry.uri in line["message"] for line in service.log())
        # A model that is in none of its places is waited for, not invented.
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            ask(service.client, registry.small)


def test_not_one_request_failed_and_every_answer_is_that_of_the_version_it_names(
    orphaned: Story, expected: dict[str, str]
) -> None:
    assert orphaned.load.failures == []
    assert orphaned.load.versions() == ["1", "2", "1"]
    assert expected["1"] != expected["2"]
    assert set(orphaned.load.answers) == set(expected.items())


def test_the_log_is_json_lines_and_nothing_else(orphaned: Story) -> None:
    swaps = [line["message"] for line in orphaned.service.log() if line["message"].startswith("serving ")]

    assert swaps == [f"serving {orphaned.registry.name} version {each} from registry" for each in ("1", "2", "1")]
