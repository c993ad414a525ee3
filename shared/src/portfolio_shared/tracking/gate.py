"""The promotion gate: what a new version must pass before users see it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from portfolio_shared.evaluation.uncertainty import PairedComparison
from portfolio_shared.tracking.registry import (
    GateDecision,
    ModelVersion,
    champion,
    decide,
    download_bundle,
    mark_challenger,
    promote,
)


def pass_gate(version: ModelVersion, compare: Callable[[Path], PairedComparison], *, tracking_uri: str) -> GateDecision:
    """Compare a registered version with the champion and point an alias at it: `champion` or `challenger`.

    A model that learned from generated data never replaces one that learned from real data, whatever the numbers on
    generated houses, viewers or pictures say.

    Parameters
    ----------
    compare
        Folder of the champion's verified bundle -> comparison on the new version's frozen test split
        (new minus champion of an error: negative is better).
    """
    current = champion(version.name, tracking_uri=tracking_uri)
    decision = _decide(version, current, compare, tracking_uri)
    if decision.promote:
        promote(version, decision, tracking_uri=tracking_uri)
    else:
        mark_challenger(version, decision, tracking_uri=tracking_uri)
    return decision


def _decide(
    version: ModelVersion, current: ModelVersion | None, compare: Callable[[Path], PairedComparison], tracking_uri: str
) -> GateDecision:
    if current is None:
        return decide(None)
    if version.data_source == "sample" and current.data_source != "sample":
        reason = f"trained on generated data, and the champion (version {current.version}) on real data"
        return GateDecision(promote=False, reason=reason, comparison=None)
    with tempfile.TemporaryDirectory() as folder:
        bundle = download_bundle(current, Path(folder) / "bundle", tracking_uri=tracking_uri)
        return decide(compare(bundle))
