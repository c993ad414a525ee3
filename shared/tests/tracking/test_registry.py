"""The decision, the alias and the way back."""

from dataclasses import replace

import pytest

from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.evaluation.uncertainty import Interval, PairedComparison
from portfolio_shared.serving.registry_client import RegisteredVersion, RegistryClient, champion_of
from portfolio_shared.signatures import read_signature
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.registry import (
    RegistryError,
    decide,
    decide_retrained,
    mark_challenger,
    promote,
    refuse,
    register,
    rollback,
)
from portfolio_shared.tracking.runs import tracked_run


@pytest.fixture
def run(mlflow_server):
    with tracked_run(mlflow_server, experiment="registry", run_name="a") as run:
        yield run


@pytest.fixture
def name(request):
    """Name of a model that only this test registers."""
    return str(request.node.name)


@pytest.fixture
def register_only(run, name):
    """Register a version without artifacts, for tests that look at aliases and tags only."""

    def make():
        with tracking_client(run.tracking_uri) as client:
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            tags = {"bundle_sha256": "c" * 64, "data_source": "sample"}
            made = client.create_model_version(name, f"runs:/{run.run_id}/model", run_id=run.run_id, tags=tags)
        return RegisteredVersion(name, str(made.version), run.run_id, "c" * 64, "sample")

    return make


def tags_of(version, uri):
    with tracking_client(uri) as client:
        return dict(client.get_model_version(version.name, version.version).tags)


def aliases_of(name, uri):
    with tracking_client(uri) as client:
        return {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}


def compared(low, high):
    return PairedComparison(Interval((low + high) / 2, low, high), probability_better=0.5, n=40)


@pytest.mark.parametrize(
    ("low", "high", "outcome", "verdict"),
    [
        (-0.3, -0.1, "promoted", "better"),
        (-0.3, 0.0, "waiting", "not proven better"),
        (-0.3, 0.1, "waiting", "not proven better"),
        (0.0, 0.0, "waiting", "not proven better"),
        (0.0, 0.3, "waiting", "not proven better"),
        (0.1, 0.3, "refused", "worse"),
    ],
)
def test_only_an_interval_below_zero_is_promoted_and_only_one_above_it_refused(low, high, outcome, verdict):
    decision = decide(compared(low, high))
    assert decision.outcome == outcome
    assert decision.reason.startswith(f"{verdict}: difference")
    assert decision.reason.endswith("on 40 rows")


@pytest.mark.parametrize(
    ("frozen", "recent", "outcome", "reason"),
    [
        ((-0.01, 0.02), (-0.3, -0.1), "promoted", "better: on held-back feedback difference -0.2"),
        ((-0.01, 0.021), (-0.3, -0.1), "refused", "it may be worse than the margin allows: on the frozen split"),
        ((-0.01, 0.02), (-0.3, 0.0), "refused", "not proven better: on held-back feedback"),
        ((-0.3, -0.1), (-0.3, 0.0), "refused", "not proven better: on held-back feedback"),
        ((-0.01, 0.02), (0.1, 0.3), "refused", "worse: on held-back feedback"),
        ((-0.3, -0.1), None, "waiting", "held-back feedback cannot be compared; on the frozen split"),
        ((-0.01, 0.03), None, "refused", "it may be worse than the margin allows: on the frozen split"),
    ],
)
def test_a_retrained_model_is_better_on_recent_feedback_and_within_the_margin_on_the_rest(
    frozen, recent, outcome, reason
):
    decision = decide_retrained(compared(*frozen), recent and compared(*recent), margin=0.02)
    assert decision.outcome == outcome
    assert decision.reason.startswith(reason)
    assert "margin 0.02" in decision.reason


@pytest.mark.parametrize("recent", [(-0.3, -0.1), (-0.3, 0.1)])
def test_where_it_hangs_on_one_client_whether_it_is_better_a_retrained_model_waits(recent):
    hanging = replace(compared(*recent), hangs_on_one=True)
    decision = decide_retrained(compared(-0.01, 0.01), hanging, margin=0.02)
    assert decision.outcome == "waiting"
    assert decision.reason.startswith("it hangs on one client whether it is better: on held-back feedback difference")
    assert decide_retrained(compared(-0.01, 0.03), hanging, margin=0.02).outcome == "refused"


def test_a_registered_version_carries_what_identifies_it(run, name, make_bundle, toy_adapter, tmp_path):
    folder = make_bundle()
    logged = run.log_bundle(folder, adapter=toy_adapter, input_example=[{"area": 1.0}])
    told = {"why": "drift", "git_commit": "not what the manifest says"}
    version = register(run, logged, name=name, manifest=read_manifest(folder), tags=told)
    assert version == RegisteredVersion(name, "1", run.run_id, bundle_digest(folder), "sample", "a" * 64)
    assert tags_of(version, run.tracking_uri) == {
        "bundle_sha256": bundle_digest(folder),
        "data_source": "sample",
        "data_sha256": "a" * 64,
        "test_split_sha256": "b" * 64,
        "git_commit": "0123456",
        "why": "drift",
    }
    with RegistryClient(run.tracking_uri) as registry:
        assert registry.download_bundle(version, tmp_path / "into") == read_manifest(folder)
    assert champion_of(name, run.tracking_uri) is None  # registering is not promoting


def test_a_bundle_that_is_signed_is_registered_with_its_signature(run, name, signed_bundle, toy_adapter):
    folder = signed_bundle()
    logged = run.log_bundle(folder, adapter=toy_adapter, input_example=[{"area": 1.0}])
    version = register(run, logged, name=name, manifest=read_manifest(folder))
    assert version.signature == read_signature(folder) != ""
    promote(version, "better", tracking_uri=run.tracking_uri)
    assert champion_of(name, run.tracking_uri) == version


def test_there_is_no_champion_of_a_model_that_does_not_exist(mlflow_server):
    assert champion_of("never-registered", mlflow_server) is None
    with pytest.raises(RegistryError, match="has no champion"):
        rollback("never-registered", tracking_uri=mlflow_server)


def test_promotion_notes_what_it_replaces(mlflow_server, name, register_only):
    first, second = register_only(), register_only()
    promote(first, "better", tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == first
    assert "previous_champion" not in tags_of(first, mlflow_server)
    mark_challenger(second, "not proven better", tracking_uri=mlflow_server)
    assert aliases_of(name, mlflow_server) == {"champion": "1", "challenger": "2"}
    assert tags_of(second, mlflow_server)["gate"] == "not proven better"
    promote(second, "better", tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == second
    assert aliases_of(name, mlflow_server) == {"champion": "2"}  # no challenger of itself
    assert tags_of(second, mlflow_server)["previous_champion"] == "1"
    assert tags_of(second, mlflow_server)["gate"] == "better"
    promote(second, "better", tracking_uri=mlflow_server)  # again: it does not replace itself
    assert tags_of(second, mlflow_server)["previous_champion"] == "1"


def test_a_refused_version_gets_no_alias_and_leaves_the_challenger_that_waits(mlflow_server, name, register_only):
    first, second, third = register_only(), register_only(), register_only()
    promote(first, "better", tracking_uri=mlflow_server)
    mark_challenger(second, "not proven better", tracking_uri=mlflow_server)
    refuse(third, "worse", tracking_uri=mlflow_server)
    assert aliases_of(name, mlflow_server) == {"champion": "1", "challenger": "2"}
    assert tags_of(third, mlflow_server)["gate"] == "worse"
    promote(third, "by hand", tracking_uri=mlflow_server)  # nor does one wait for a comparison with another champion
    assert aliases_of(name, mlflow_server) == {"champion": "3"}


def test_rolling_back_walks_back_and_ends(mlflow_server, name, register_only):
    versions = [register_only() for _ in range(3)]
    for version in versions:
        promote(version, "better", tracking_uri=mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == versions[1]
    assert rollback(name, tracking_uri=mlflow_server) == versions[0]
    assert champion_of(name, mlflow_server) == versions[0]
    assert tags_of(versions[2], mlflow_server)["rolled_back"].endswith("to version 2")
    with pytest.raises(RegistryError, match="version 1 replaced no other champion: train another, or give a version"):
        rollback(name, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == versions[0]


def test_rolling_back_never_returns_to_what_was_rolled_back(mlflow_server, name, register_only):
    first, second = register_only(), register_only()
    for version in (first, second, first):  # now each of them has replaced the other
        promote(version, "better", tracking_uri=mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == second
    with pytest.raises(RegistryError, match=r"version 1, before .* version 2, was rolled back itself"):
        rollback(name, tracking_uri=mlflow_server)
    promote(first, "better", tracking_uri=mlflow_server)  # a decision of its own clears the mark
    assert "rolled_back" not in tags_of(first, mlflow_server)
    assert rollback(name, tracking_uri=mlflow_server) == second


def test_a_previous_champion_that_was_deleted_is_named(mlflow_server, name, register_only):
    first, second = register_only(), register_only()
    promote(first, "better", tracking_uri=mlflow_server)
    promote(second, "better", tracking_uri=mlflow_server)
    with tracking_client(mlflow_server) as client:
        client.delete_model_version(name, "1")
    with pytest.raises(RegistryError, match="replaced version 1, which was deleted"):
        rollback(name, tracking_uri=mlflow_server)
    assert champion_of(name, mlflow_server) == second
