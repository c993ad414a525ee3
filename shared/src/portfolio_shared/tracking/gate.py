"""The promotion gate: what a new version must pass before users see it."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from portfolio_shared.bundle import BundleError, Manifest
from portfolio_shared.serving.registry_client import (
    BundleMissingError,
    RegisteredVersion,
    RegistryClient,
    RegistryUnavailable,
    champion_of,
)
from portfolio_shared.tracking.registry import GateDecision, Outcome, RegistryError, mark_challenger, promote, refuse

P = TypeVar("P")

MOVES = {"promoted": promote, "waiting": mark_challenger, "refused": refuse}


def pass_gate(
    version: RegisteredVersion,
    load: Callable[[Path], P],
    judge: Callable[[P], GateDecision],
    *,
    manifest: Manifest,
    tracking_uri: str,
    may_promote: bool = True,
    uncompared: Outcome = "promoted",
) -> GateDecision:
    """Compare a registered version with the champion and point an alias at it: `champion`, `challenger` or none.

    A model that learned from the sample that ships never replaces one that learned from more, whatever the numbers on
    the sample's few test rows say. The other way round, a champion that learned from a sample gives way to the first
    model of any other data, be it all of the public data or another sample: of those it knows nothing.

    Parameters
    ----------
    load
        Folder of the champion's verified bundle -> the champion. One that it cannot read was written by other code, or
        is damaged: no service of today can load it either, so it does not bar the way. A file that this machine cannot
        open says nothing of the champion.
    judge
        Champion -> the decision of a comparison with it, such as `decide`. What it raises is an error of today's code,
        and reaches the caller.
    manifest
        Of the new version. Where the champion's test split differs, the stored reason says so. A champion that names
        other labels gives way: somebody has brought data of their own, and there is nothing to compare.
    may_promote
        Whether a version that passes replaces a champion at once; otherwise it waits as challenger.
    uncompared
        What becomes of a version where a champion gives way without a comparison.

    Raises
    ------
    RegistryError
        If the champion cannot be downloaded or opened, or another version has become champion meanwhile. That says
        nothing about either model, so no alias moves.
    """
    champion = champion_of(version.name, tracking_uri)
    if champion is None:
        decision = GateDecision("promoted", "first champion: nothing to compare with")
    else:
        decision = _decide(
            version, champion, load, judge, manifest=manifest, tracking_uri=tracking_uri, uncompared=uncompared
        )
        if decision.outcome == "promoted" and not may_promote:
            decision = GateDecision("waiting", f"passed, and a person promotes it: {decision.reason}")
    if (now := champion_of(version.name, tracking_uri)) != champion:
        then, since = (f"version {each.version}" if each else "none" for each in (champion, now))
        raise _no_decision(version, f"the champion was {then} before the comparison, and is {since} now")
    MOVES[decision.outcome](version, decision.reason, tracking_uri=tracking_uri)
    return decision


def _no_decision(version: RegisteredVersion, why: str) -> RegistryError:
    way = f"{version.name} version {version.version} is registered and has no alias: train again, or `promote`"
    return RegistryError(f"{why}; {way}")


def _decide(
    version: RegisteredVersion,
    current: RegisteredVersion,
    load: Callable[[Path], P],
    judge: Callable[[P], GateDecision],
    *,
    manifest: Manifest,
    tracking_uri: str,
    uncompared: Outcome,
) -> GateDecision:
    if (decision := _by_samples(version, current, uncompared)) is not None:
        return decision
    champion = f"the champion (version {current.version})"
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        try:
            described = _download(current, bundle, tracking_uri)
            serving = load(bundle)
        except (RegistryUnavailable, BundleMissingError) as error:
            raise _no_decision(version, f"{champion} cannot be downloaded to compare with: {error}") from error
        except (BundleError, FileNotFoundError, KeyError, TypeError, ValueError) as error:
            return GateDecision(uncompared, f"{champion} cannot be compared with: {error}")
        except OSError as error:
            raise _no_decision(version, f"{champion} cannot be opened here to compare with: {error}") from error
        if described.labels != manifest.labels:
            theirs, ours = ", ".join(described.labels), ", ".join(manifest.labels)
            return GateDecision(uncompared, f"{champion} cannot be compared with: it names {theirs}, this {ours}")
        decision = judge(serving)
    if described.data.test_split_sha256 == manifest.data.test_split_sha256:
        return decision
    note = f"{decision.reason}; the champion was tested on other rows, so it may have learned from some of these"
    return replace(decision, reason=note)


def _download(version: RegisteredVersion, into: Path, tracking_uri: str) -> Manifest:
    """Download a bundle; a full disk here is as little the fault of its model as a registry that is away."""
    try:
        with RegistryClient(tracking_uri) as registry:
            return registry.download_bundle(version, into)
    except OSError as error:
        raise RegistryUnavailable(str(error)) from error


def _by_samples(version: RegisteredVersion, current: RegisteredVersion, uncompared: Outcome) -> GateDecision | None:
    """Decide by what the two learned from, where one of them learned from a sample and the other from other data."""
    champion = f"the champion (version {current.version})"
    if version.data_source == "sample" and current.data_source != "sample":
        return GateDecision("refused", f"trained on the sample, and {champion} on {current.data_source} data")
    if current.data_source == "sample" and current.data_sha256 != version.data_sha256:
        return GateDecision(uncompared, f"trained on other data than the sample that {champion} learned from")
    return None
