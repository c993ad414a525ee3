"""The gate, the alias and the way back; then the whole cycle from a bundle to a model that serves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from mlflow_server import MlflowServer
from portfolio_shared.bundle import BundleError, bundle_digest, read_manifest
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.serving.models import ModelHolder
from portfolio_shared.serving.registry_client import RegisteredVersion, RegistryClient, champion_of
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import (
    GateDecision,
    RegistryError,
    decide,
    mark_challenger,
    promote,
    register,
    rollback,
)
from portfolio_shared.tracking.runs import Run, tracked_run

YES = GateDecision(promote=True, reason="better", comparison=None)
NO = GateDecision(promote=False, reason="not proven better", comparison=None)

Train = Callable[..., RegisteredVersion]


class ToySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    port: int = 0
    model_name: str = "toy"


@pytest.fixture
def run(mlflow_server: str) -> Iterator[Run]:
    with tracked_run(mlflow_server, experiment="registry", run_name="a", params={}, tags={}) as run:
        yield run


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name of a model that only this test registers."""
    return str(request.node.name)


@pytest.fixture
def train(run: Run, name: str, make_bundle: Callable[..., Path], toy_adapter: Path) -> Train:
    """Train, log and register: a version whose predictor multiplies by `weight`."""

    def make(weight: float = 2.0) -> RegisteredVersion:
        folder = make_bundle(weight=weight)
        logged = run.log_bundle(folder, adapter=toy_adapter, input_example=[{"area": 1.0}])
        return register(run, logged, name=name, manifest=read_manifest(folder))

    return make


@pytest.fixture
def register_only(run: Run, name: str) -> Train:
    """Register a version without artifacts, for tests that look at aliases and tags only."""

    def make() -> RegisteredVersion:
        with tracking_client(run.tracking_uri) as client:
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            tags = {"bundle_sha256": "c" * 64, "data_source": "sample"}
            made = client.create_model_version(name, f"runs:/{run.run_id}/model", run_id=run.run_id, tags=tags)
        return RegisteredVersion(name, str(made.version), run.run_id, "c" * 64, "sample")

    return make


def download(version: RegisteredVersion, into: Path, uri: str) -> Path:
    with RegistryClient(uri) as registry:
        registry.download_bundle(version, into)
    return into


def tags_of(version: RegisteredVersion, uri: str) -> dict[str, str]:
    with tracking_client(uri) as client:
        return dict(client.get_model_version(version.name, version.version).tags)


def aliases_of(name: str, uri: str) -> dict[str, str]:
    with tracking_client(uri) as client:
        return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


@pytest.mark.parametrize(
    ("low", "high", "promoted", "verdict"),
    [
        (-0.3, -0.1, True, "better"),
        (-0.3, 0.0, False, "not proven better"),
        (-0.3, 0.1, False, "not proven better"),
        (0.0, 0.0, False, "not proven better"),
        (0.1, 0.3, False, "worse"),
    ],
)
def test_only_an_interval_below_zero_is_promoted(low: float, high: float, promoted: bool, verdict: str) -> None:
    comparison = PairedComparison(Interval((low + high) / 2, low, high), probability_better=0.5, n=40)
    decision = decide(comparison)
    assert decision.promote is promoted
    assert decision.reason.startswith(f"{verdict}: difference")
    assert decision.reason.endswith("on 40 rows")
    assert decision.comparison is comparison


def test_the_first_champion_needs_no_comparison() -> None:
    assert decide(None) == GateDecision(promote=True, reason="first champion: nothing to compare with", comparison=None)


def test_a_registered_version_carries_what_identifies_it(
    run: Run, name: str, make_bundle: Callable[..., Path], toy_adapter: Path, tmp_path: Path
) -> None:
    folder = make_bundle(weight=5.0)
    logged = run.log_bundle(folder, adapter=toy_adapter, input_example=[{"area": 1.0}])
    version = register(run, logged, name=name, manifest=read_manifest(folder))
    assert version == RegisteredVersion(name, "1", run.run_id, bundle_digest(folder), "sample")
    assert tags_of(version, run.tracking_uri) == {
        "bundle_sha256": bundle_digest(folder),
        "data_source": "sample",
        "test_split_sha256": "b" * 64,
        "git_commit": "0123456",
    }
    into = download(version, tmp_path / "into", run.tracking_uri)
    assert read_manifest(into, project="toy") == read_manifest(folder)
    assert champion_of(name, run.tracking_uri) is None  # registering is not promoting


def test_there_is_no_champion_of_a_model_that_does_not_exist(mlflow_server: str) -> None:
    assert champion_of("never-registered", mlflow_server) is None
    with pytest.raises(RegistryError, match="has no champion"):
        rollback("never-registered", tracking_uri=mlflow_server)


def test_promotion_notes_what_it_replaces(mlflow_server: str, name: str, register_only: Train) -> None:
    first, second = register_only(), register_only()
    promote(first, YES, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == first
    assert "previous_champion" not in tags_of(first, mlflow_server)
    mark_challenger(second, NO, tracking_uri=mlflow_server)
    assert aliases_of(name, mlflow_server) == {"champion": "1", "challenger": "2"}
    assert tags_of(second, mlflow_server)["gate"] == "not proven better"
    promote(second, YES, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == second
    assert aliases_of(name, mlflow_server) == {"champion": "2"}  # no challenger of itself
    assert tags_of(second, mlflow_server)["previous_champion"] == "1"
    assert tags_of(second, mlflow_server)["gate"] == "better"
    promote(second, YES, tracking_uri=mlflow_server)  # again: it does not replace itself
    assert tags_of(second, mlflow_server)["previous_champion"] == "1"


def test_what_the_gate_refused_is_not_promoted(mlflow_server: str, name: str, register_only: Train) -> None:
    with pytest.raises(RegistryError, match="may not be promoted: not proven better"):
        promote(register_only(), NO, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) is None


def test_rolling_back_walks_back_and_ends(mlflow_server: str, name: str, register_only: Train) -> None:
    versions = [register_only() for _ in range(3)]
    for version in versions:
        promote(version, YES, tracking_uri=mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == versions[1]
    assert rollback(name, tracking_uri=mlflow_server) == versions[0]
    assert champion_of(name, mlflow_server) == versions[0]
    assert tags_of(versions[2], mlflow_server)["rolled_back"].endswith("to version 2")
    with pytest.raises(RegistryError, match="version 1 replaced no other champion"):
        rollback(name, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == versions[0]


def test_rolling_back_never_returns_to_what_was_rolled_back(
    mlflow_server: str, name: str, register_only: Train
) -> None:
    first, second = register_only(), register_only()
    for version in (first, second, first):  # now each of them has replaced the other
        promote(version, YES, tracking_uri=mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == second
    with pytest.raises(RegistryError, match=r"version 1, before .* version 2, was rolled back itself"):
        rollback(name, tracking_uri=mlflow_server)
    promote(first, YES, tracking_uri=mlflow_server)  # a decision of its own clears the mark
    assert "rolled_back" not in tags_of(first, mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == second


def test_a_previous_champion_that_was_deleted_is_said_so(mlflow_server: str, name: str, register_only: Train) -> None:
    first, second = register_only(), register_only()
    promote(first, YES, tracking_uri=mlflow_server)
    promote(second, YES, tracking_uri=mlflow_server)
    with tracking_client(mlflow_server) as client:
        client.delete_model_version(name, "1")
    with pytest.raises(RegistryError, match="replaced version 1, which was deleted"):
        rollback(name, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == second


def test_a_version_that_training_did_not_register_is_refused(mlflow_server: str, name: str, run: Run) -> None:
    with tracking_client(mlflow_server) as client:
        client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run.run_id}/model", run_id=run.run_id)
        client.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(BundleError, match="version 1 has no tag bundle_sha256"):
        champion_of(name, mlflow_server)
    with RegistryClient(mlflow_server) as client, pytest.raises(BundleError, match="has no tag bundle_sha256"):
        client.alias(name, "champion")


def test_from_training_to_serving_and_back(
    running_mlflow: MlflowServer, name: str, train: Train, load_toy: Callable[[Path], Any], tmp_path: Path
) -> None:
    uri = running_mlflow.uri

    def new_holder(tracking_uri: str = uri) -> ModelHolder[Any]:
        settings = ToySettings(tracking_uri=tracking_uri, model_cache=tmp_path / "cache", model_name=name)
        return ModelHolder(settings=settings, project="toy", load=load_toy, smoke_test=lambda toy: toy.predict(1.0))

    def serving(holder: ModelHolder[Any]) -> tuple[str, float]:
        loaded = holder.current()
        return loaded.version, loaded.predictor.predict(10.0)

    holder = new_holder()
    assert not holder.refresh()
    promote(train(weight=2.0), decide(None), tracking_uri=uri)
    assert holder.refresh()
    assert serving(holder) == ("1", 20.0)

    promote(train(weight=3.0), YES, tracking_uri=uri)
    assert holder.refresh()
    assert serving(holder) == ("2", 30.0)

    rollback(name, tracking_uri=uri)
    assert holder.refresh()
    assert serving(holder) == ("1", 20.0)

    # One flipped bit on the disk of the artifact store.
    damaged = train(weight=4.0)
    flip_a_bit(stored_file(running_mlflow, damaged, "params.npz"))
    promote(damaged, YES, tracking_uri=uri)
    for _ in range(2):
        assert not holder.refresh()
    assert serving(holder) == ("1", 20.0)
    assert (holder.status().refused_version, holder.refused_bundles) == ("3", 1)
    with pytest.raises(BundleError, match=r"params\.npz: expected sha256"):
        download(damaged, tmp_path / "into", uri)

    # The version is deleted, and its alias with it: nothing to follow, nothing taken away.
    with tracking_client(uri) as client:
        client.delete_model_version(name, "3")
    assert not holder.refresh()
    assert serving(holder) == ("1", 20.0)
    assert "no version with the alias" in str(holder.status().error)

    # The server is away when the service starts again.
    restarted = new_holder("http://127.0.0.1:1")
    assert restarted.refresh()
    assert serving(restarted) == ("1", 20.0)
    assert restarted.current().origin == "cache"


def stored_file(server: MlflowServer, version: RegisteredVersion, file: str) -> Path:
    """Find a file of a version's bundle in the folder behind the server's artifact store."""
    folders = [path.parent for path in server.log.parent.rglob("artifacts/bundle/bundle.json")]
    (folder,) = [path for path in folders if bundle_digest(path) == version.bundle_sha256]
    return folder / file


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
