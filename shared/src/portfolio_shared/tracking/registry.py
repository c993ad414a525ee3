"""Which version serves: register, compare, promote, roll back. The alias `champion` in MLflow's registry decides.

Services follow the alias: a promotion needs nothing else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from portfolio_shared.bundle import Manifest
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.serving.registry_client import DIGEST_TAG, RegisteredVersion, RegistryClient, champion_of
from portfolio_shared.tracking.client import tracking_client
from portfolio_shared.tracking.runs import LoggedModel, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
_PREVIOUS = "previous_champion"
_ROLLED_BACK = "rolled_back"
_INSTEAD = "train another, or give a version the alias champion on MLflow's page"


class RegistryError(RuntimeError):
    """The registry's state does not allow what was asked for; the message says what does."""


@dataclass(frozen=True)
class GateDecision:
    """Whether a version may become champion, and why, in words that are stored with the version."""

    promote: bool
    reason: str


def decide(comparison: PairedComparison | None) -> GateDecision:
    """Decide from a comparison on the frozen test split; None means that there is no champion to compare with.

    A challenger is promoted only if the whole interval of the difference lies on the better side, below zero: a
    difference that chance explains is no reason to change what users see.

    Examples
    --------
    >>> from portfolio_shared.evaluation.uncertainty import Interval
    >>> decide(PairedComparison(Interval(-0.02, -0.03, -0.01), probability_better=1.0, n=500)).promote
    True
    >>> decide(PairedComparison(Interval(-0.02, -0.05, 0.01), probability_better=0.9, n=500)).reason
    'not proven better: difference -0.02, interval -0.05 to 0.01, on 500 rows'
    """
    if comparison is None:
        return GateDecision(promote=True, reason="first champion: nothing to compare with")
    difference = comparison.difference
    numbers = (
        f"difference {difference.estimate:.4g}, interval {difference.low:.4g} to {difference.high:.4g}, "
        f"on {comparison.n} rows"
    )
    if difference.high < 0:
        return GateDecision(promote=True, reason=f"better: {numbers}")
    verdict = "worse" if difference.low > 0 else "not proven better"
    return GateDecision(promote=False, reason=f"{verdict}: {numbers}")


def register(run: Run, logged: LoggedModel, *, name: str, manifest: Manifest) -> RegisteredVersion:
    """Make the next version of the model `name` from a logged bundle; no alias points to it yet."""
    tags = {
        DIGEST_TAG: logged.bundle_sha256,
        "data_source": manifest.data.source,
        "data_sha256": manifest.data.sha256,
        "test_split_sha256": manifest.data.test_split_sha256,
        "git_commit": manifest.git_commit,
    }
    uri = f"models:/{logged.model_id}"
    with tracking_client(run.tracking_uri) as client:
        _ensure_model(client, name)
        made = client.create_model_version(
            name, uri, run_id=run.run_id, tags=tags, model_id=logged.model_id, await_creation_for=0
        )
    digest, data = logged.bundle_sha256, manifest.data
    return RegisteredVersion(name, str(made.version), run.run_id, digest, data.source, data.sha256)


def promote(version: RegisteredVersion, reason: str, *, tracking_uri: str) -> None:
    """Point the alias `champion` at a version; its tags say why (`gate`) and which version it replaces."""
    with tracking_client(tracking_uri) as client, RegistryClient(tracking_uri) as registry:
        current = registry.alias(version.name, CHAMPION)
        client.set_model_version_tag(version.name, version.version, "gate", reason)
        if current is not None and current.version == version.version:
            return
        # The notes first: a crash in between must not leave a champion that cannot be rolled back.
        _replace_tag(client, version, _PREVIOUS, current.version if current else None)
        _replace_tag(client, version, _ROLLED_BACK, None)
        client.set_registered_model_alias(version.name, CHAMPION, version.version)
        challenger = registry.alias(version.name, CHALLENGER)
        if challenger is not None and challenger.version == version.version:
            client.delete_registered_model_alias(version.name, CHALLENGER)


def mark_challenger(version: RegisteredVersion, reason: str, *, tracking_uri: str) -> None:
    """Point the alias `challenger` at a version that was not promoted, with the reason in its tag `gate`."""
    with tracking_client(tracking_uri) as client:
        client.set_model_version_tag(version.name, version.version, "gate", reason)
        client.set_registered_model_alias(version.name, CHALLENGER, version.version)


def rollback(name: str, *, tracking_uri: str) -> RegisteredVersion:
    """Point the alias `champion` back at the version that the present champion replaced, and return that version.

    Rolling back again goes one promotion further back, and never forward: only `promote` notes a predecessor, the
    version that is left is tagged `rolled_back`, and a version with that tag is no target until it is promoted anew.

    Raises
    ------
    RegistryError
        If there is no champion, or no earlier version to go back to.
    """
    with tracking_client(tracking_uri) as client:
        current = champion_of(name, tracking_uri)
        if current is None:
            raise RegistryError(f"{name!r} has no champion: there is nothing to roll back")
        label = f"{name} version {current.version}"
        versions = {str(item.version): item for item in client.search_model_versions(f"name = '{name}'")}
        previous = versions[current.version].tags.get(_PREVIOUS)
        if previous is None:
            raise RegistryError(f"{label} replaced no other champion: {_INSTEAD}")
        target = versions.get(previous)
        if target is None:
            raise RegistryError(f"{label} replaced version {previous}, which was deleted: {_INSTEAD}")
        if _ROLLED_BACK in target.tags:
            raise RegistryError(f"version {previous}, before {label}, was rolled back itself: {_INSTEAD}")
        if missing := [tag for tag in (DIGEST_TAG, "data_source") if tag not in target.tags]:
            raise RegistryError(f"version {previous}, before {label}, has no tag {missing[0]}: train again")
        _replace_tag(client, current, _ROLLED_BACK, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC to version {previous}")
        client.set_registered_model_alias(name, CHAMPION, previous)
        digest, source = target.tags[DIGEST_TAG], target.tags["data_source"]
        return RegisteredVersion(
            name, previous, target.run_id or "", digest, source, target.tags.get("data_sha256", "")
        )


def _ensure_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _replace_tag(client: "MlflowClient", version: RegisteredVersion, key: str, value: str | None) -> None:
    if value is not None:
        client.set_model_version_tag(version.name, version.version, key, value)
    elif key in client.get_model_version(version.name, version.version).tags:
        client.delete_model_version_tag(version.name, version.version, key)
