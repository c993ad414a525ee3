"""Which version serves: register, decide, promote, roll back. The alias `champion` in MLflow's registry decides.

Services follow the alias: a promotion needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from portfolio_shared.bundle import Manifest
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.serving.registry_client import (
    DIGEST_TAG,
    SIGNATURE_TAG,
    RegisteredVersion,
    RegistryClient,
    champion_of,
)
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


Outcome = Literal["promoted", "waiting", "refused"]


@dataclass(frozen=True)
class GateDecision:
    """What becomes of a version, and why, in words that are stored with it.

    Attributes
    ----------
    outcome
        `promoted`: it is champion. `waiting`: it is challenger, until a comparison or a person decides. `refused`: no
        alias points to it.
    """

    outcome: Outcome
    reason: str


def decide(comparison: PairedComparison) -> GateDecision:
    """Decide on a model of the data alone from a comparison on the frozen test split.

    It is promoted only if the whole interval of the difference lies on the better side, below zero: a difference that
    chance explains is no reason to change what users see. With the whole interval above zero it is refused.

    Examples
    --------
    >>> from portfolio_shared.evaluation.uncertainty import Interval
    >>> decide(PairedComparison(Interval(-0.02, -0.03, -0.01), probability_better=1.0, n=500)).outcome
    'promoted'
    >>> decide(PairedComparison(Interval(-0.02, -0.05, 0.01), probability_better=0.9, n=500))
    GateDecision(outcome='waiting', reason='not proven better: difference -0.02, interval -0.05 to 0.01, on 500 rows')
    """
    numbers, difference = _numbers(comparison), comparison.difference
    if difference.high < 0:
        return GateDecision("promoted", f"better: {numbers}")
    if difference.low > 0:
        return GateDecision("refused", f"worse: {numbers}")
    return GateDecision("waiting", f"not proven better: {numbers}")


def decide_retrained(frozen: PairedComparison, recent: PairedComparison | None, *, margin: float) -> GateDecision:
    """Decide on a model that feedback has taught as well.

    The frozen split knows nothing of a drift, so there it need not be better: the upper end of the interval must not
    lie above the margin. On the feedback that was held back the whole interval must lie below zero. Where that cannot
    be compared, or the finding hangs on one client, the model waits for a comparison of live answers.

    Parameters
    ----------
    frozen, recent
        On the frozen split and on the feedback that was held back, None where the log holds too little of it, or too
        little of what was asked to answer again.
    margin
        In the unit of the first.

    Examples
    --------
    >>> from portfolio_shared.evaluation.uncertainty import Interval
    >>> same = PairedComparison(Interval(0.0, -0.002, 0.002), probability_better=0.5, n=500)
    >>> better = PairedComparison(Interval(-0.2, -0.3, -0.1), probability_better=1.0, n=40)
    >>> [decide_retrained(same, recent, margin=0.005).outcome for recent in (better, None, same)]
    ['promoted', 'waiting', 'refused']
    >>> decide_retrained(same, better, margin=0.001).outcome
    'refused'
    """
    on_frozen = f"on the frozen split {_numbers(frozen)}, margin {margin:.4g}"
    if frozen.difference.high > margin:
        return GateDecision("refused", f"it may be worse than the margin allows: {on_frozen}")
    if recent is None:
        return GateDecision("waiting", f"held-back feedback cannot be compared; {on_frozen}")
    on_recent = f"on held-back feedback {_numbers(recent)}; {on_frozen}"
    if recent.hangs_on_one:
        return GateDecision("waiting", f"it hangs on one client whether it is better: {on_recent}")
    if recent.difference.high < 0:
        return GateDecision("promoted", f"better: {on_recent}")
    return GateDecision("refused", f"{'worse' if recent.difference.low > 0 else 'not proven better'}: {on_recent}")


def _numbers(comparison: PairedComparison) -> str:
    estimate, low, high = comparison.difference
    return f"difference {estimate:.4g}, interval {low:.4g} to {high:.4g}, on {comparison.n} rows"


def register(
    run: Run, logged: LoggedModel, *, name: str, manifest: Manifest, tags: Mapping[str, str] = MappingProxyType({})
) -> RegisteredVersion:
    """Make the next version of the model `name` from a logged bundle; no alias points to it yet.

    Parameters
    ----------
    tags
        Beside those that identify it.
    """
    known = {
        DIGEST_TAG: logged.bundle_sha256,
        "data_source": manifest.data.source,
        "data_sha256": manifest.data.sha256,
        "test_split_sha256": manifest.data.test_split_sha256,
        "git_commit": manifest.git_commit,
    }
    known |= {SIGNATURE_TAG: logged.signature} if logged.signature else {}
    uri = f"models:/{logged.model_id}"
    with tracking_client(run.tracking_uri) as client:
        ensure_model(client, name)
        made = client.create_model_version(
            name, uri, run_id=run.run_id, tags={**tags, **known}, model_id=logged.model_id, await_creation_for=0
        )
    digest, data = logged.bundle_sha256, manifest.data
    return RegisteredVersion(name, str(made.version), run.run_id, digest, data.source, data.sha256, logged.signature)


def promote(version: RegisteredVersion, reason: str, *, tracking_uri: str) -> None:
    """Point the alias `champion` at a version; its tags say why (`gate`) and which version it replaces.

    Then no challenger waits: one that waited was to be compared with the champion before.
    """
    with tracking_client(tracking_uri) as client, RegistryClient(tracking_uri) as registry:
        current = registry.alias(version.name, CHAMPION)
        client.set_model_version_tag(version.name, version.version, "gate", reason)
        if current is not None and current.version == version.version:
            return
        # The notes first: a crash in between must not leave a champion that cannot be rolled back.
        _replace_tag(client, version, _PREVIOUS, current.version if current else None)
        _replace_tag(client, version, _ROLLED_BACK, None)
        client.set_registered_model_alias(version.name, CHAMPION, version.version)
        if registry.alias(version.name, CHALLENGER) is not None:
            client.delete_registered_model_alias(version.name, CHALLENGER)


def mark_challenger(version: RegisteredVersion, reason: str, *, tracking_uri: str) -> None:
    """Point the alias `challenger` at a version that waits, with the reason in its tag `gate`."""
    with tracking_client(tracking_uri) as client:
        client.set_model_version_tag(version.name, version.version, "gate", reason)
        client.set_registered_model_alias(version.name, CHALLENGER, version.version)


def refuse(version: RegisteredVersion, reason: str, *, tracking_uri: str) -> None:
    """See that a version does not wait as challenger; its tag `gate` says why."""
    with tracking_client(tracking_uri) as client, RegistryClient(tracking_uri) as registry:
        client.set_model_version_tag(version.name, version.version, "gate", reason)
        waiting = registry.alias(version.name, CHALLENGER)
        if waiting is not None and waiting.version == version.version:
            client.delete_registered_model_alias(version.name, CHALLENGER)


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
        data, signature = (target.tags.get(tag, "") for tag in ("data_sha256", SIGNATURE_TAG))
        return RegisteredVersion(name, previous, target.run_id or "", digest, source, data, signature)


def ensure_model(client: "MlflowClient", name: str) -> None:
    """Make a registered model without versions, if there is none of that name."""
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
