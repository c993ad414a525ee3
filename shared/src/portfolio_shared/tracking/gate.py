"""The promotion gate: what a new version must pass before users see it."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from portfolio_shared.bundle import BundleError, Manifest
from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.serving.registry_client import RegisteredVersion, RegistryClient
from portfolio_shared.tracking.registry import GateDecision, decide, mark_challenger, promote

P = TypeVar("P")


def pass_gate(
    version: RegisteredVersion,
    load: Callable[[Path], P],
    compare: Callable[[P], PairedComparison],
    *,
    manifest: Manifest,
    tracking_uri: str,
) -> GateDecision:
    """Compare a registered version with the champion and point an alias at it: `champion` or `challenger`.

    A model that learned from the sample that ships never replaces one that learned from more, whatever the numbers on
    the sample's few test rows say. The other way round, a champion that learned from a sample gives way to the first
    model of any other data, be it all of the public data or another sample: of those it knows nothing.

    Parameters
    ----------
    load
        Folder of the champion's verified bundle -> the champion.
    compare
        Champion -> comparison on the new version's frozen test split (new minus champion of an error: negative is
        better). What it raises is an error of today's code, and reaches the caller.
    manifest
        Of the new version. Where the champion's test split differs, the stored reason says so. A champion that names
        other labels gives way: somebody has brought data of their own, and there is nothing to compare.
    """
    decision = _decide(version, load, compare, manifest=manifest, tracking_uri=tracking_uri)
    move_alias = promote if decision.promote else mark_challenger
    move_alias(version, decision.reason, tracking_uri=tracking_uri)
    return decision


def _decide(
    version: RegisteredVersion,
    load: Callable[[Path], P],
    compare: Callable[[P], PairedComparison],
    *,
    manifest: Manifest,
    tracking_uri: str,
) -> GateDecision:
    with RegistryClient(tracking_uri) as registry, tempfile.TemporaryDirectory() as folder:
        current = registry.alias(version.name, "champion")
        if current is None:
            return decide(None)
        if (decision := _by_samples(version, current)) is not None:
            return decision
        bundle = Path(folder) / "bundle"
        try:
            described = registry.download_bundle(current, bundle)
            serving = load(bundle)
        except (BundleError, OSError, KeyError, TypeError, ValueError) as error:
            # Written by other code, or damaged: no service of today can load it either, so it must not bar the way.
            reason = f"the champion (version {current.version}) cannot be compared with: {error}"
            return GateDecision(promote=True, reason=reason)
        if described.labels != manifest.labels:
            theirs, ours = ", ".join(described.labels), ", ".join(manifest.labels)
            reason = f"the champion (version {current.version}) cannot be compared with: it names {theirs}, this {ours}"
            return GateDecision(promote=True, reason=reason)
        decision = decide(compare(serving))
    if described.data.test_split_sha256 == manifest.data.test_split_sha256:
        return decision
    note = f"{decision.reason}; the champion was tested on other rows, so it may have learned from some of these"
    return replace(decision, reason=note)


def _by_samples(version: RegisteredVersion, current: RegisteredVersion) -> GateDecision | None:
    """Decide by what the two learned from, where one of them learned from a sample and the other from other data."""
    champion = f"the champion (version {current.version})"
    if version.data_source == "sample" and current.data_source != "sample":
        reason = f"trained on the sample, and {champion} on {current.data_source} data"
        return GateDecision(promote=False, reason=reason)
    if current.data_source == "sample" and current.data_sha256 != version.data_sha256:
        return GateDecision(promote=True, reason=f"trained on other data than the sample that {champion} learned from")
    return None
