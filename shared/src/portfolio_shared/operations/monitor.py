"""Looks at a service from outside: one window of its predictions against what its model learned from."""

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from portfolio_shared.addresses import without_secrets
from portfolio_shared.bundle import BundleError, bundle_digest, read_manifest
from portfolio_shared.operations.database import StoreError
from portfolio_shared.operations.drift import MIN_GIVEN, MIN_ROWS, alpha_of, drift
from portfolio_shared.operations.findings import DAY, EXIT, Findings
from portfolio_shared.operations.page import page
from portfolio_shared.operations.performance import MIN_CLUSTERS, performance
from portfolio_shared.operations.publish import publish
from portfolio_shared.operations.shapes import shape_of
from portfolio_shared.operations.store import Store
from portfolio_shared.operations.watch import Columns, Watch, read_reference
from portfolio_shared.operations.window import open_log, predictions_with_feedback, read_window, rows_by_version
from portfolio_shared.serving.model_cache import ModelCache
from portfolio_shared.serving.registry_client import RegistryClient, RegistryUnavailable

MONTH = 30 * DAY
DIGITS = 12  # of the digest of a bundle, which are the version of one that is served from a folder
DRAWN = 8  # columns whose distributions are drawn
WRITTEN_AFTER = 1.0  # seconds after which the rows of a window are in the log


@dataclass(frozen=True)
class Plan:
    """What is looked at, how often, and where the findings go.

    Attributes
    ----------
    project
        Name in files, metrics and reports.
    model
        Whose predictions are meant.
    log
        Address of the prediction log.
    bundle
        Folder of the model; none: from the registry, of the version that is looked at.
    window
        Length of a window in seconds.
    every
        Seconds from one look to the next; none: one look.
    budget, projects
        False alarms a month over so many projects that are put up with.
    registry, tracking_uri
        MLflow servers that have the models, and that get a run a look; the second is empty for none.
    address
        Host and port of a page with the newest report.
    until
        End of the window of one look, in seconds since 1970; none: now.
    """

    project: str
    model: str
    log: str
    bundle: Path | None
    registry: str
    tracking_uri: str
    output: Path
    window: float
    every: float | None
    budget: float
    projects: int
    address: tuple[str, int] | None
    until: float | None = None


def monitor(watch: Watch, plan: Plan) -> int:
    """Look once, or again and again; return 0 if all is well, 1 for an alarm, 2 for too few rows to judge."""
    console = Console(stderr=True, markup=False, highlight=False)
    if plan.every is None:
        findings = look(watch, plan, until=time.time() if plan.until is None else plan.until)
        publish(findings, plan.output, plan.tracking_uri, console)
        return EXIT[findings.verdict]
    with page(plan.output, plan.address) if plan.address else nullcontext():
        until = time.time()
        while True:
            try:
                publish(look(watch, plan, until=until), plan.output, plan.tracking_uri, console)
            except (RegistryUnavailable, BundleError, OSError) as error:
                console.print(without_secrets(f"{plan.project}: NOT LOOKED AT: {error}"), soft_wrap=True)
            missed = max(0, int((time.time() - until) / plan.every))  # a look that took longer than that
            until += (1 + missed) * plan.every
            time.sleep(max(0.0, until + WRITTEN_AFTER - time.time()))


def look(watch: Watch, plan: Plan, *, until: float) -> Findings:
    """Look at the window that ends at `until`, in seconds since 1970."""
    looks = MONTH / (plan.every or plan.window)
    findings = Findings(
        project=plan.project,
        model=plan.model,
        since=until - plan.window,
        until=until,
        level=alpha_of(plan.budget, plan.projects, looks),
        budget=plan.budget,
        projects=plan.projects,
        looks_per_month=looks,
    )
    try:
        with closing(open_log(plan.log)) as store:
            return _look(watch, plan, store, findings)
    except StoreError as error:
        return replace(findings, outage=without_secrets(str(error)))


def _look(watch: Watch, plan: Plan, store: Store, findings: Findings) -> Findings:
    since, until = findings.since, findings.until
    findings = replace(findings, **_predicted(store, plan, since=since, until=until))
    if not findings.version:
        return findings
    folder, on_trust = bundle_of(plan, findings.version)
    manifest = read_manifest(folder, project=watch.model)
    reference = reference_of(folder)
    predictions = store.predictions(plan.model, since=since, until=until)
    sample = read_window(predictions, watch.columns(folder), reference, version=findings.version)
    feedback = store.feedback(plan.model, since=since, until=until)
    half = findings.level / 2
    shown = performance(watch, feedback, manifest.metrics, version=findings.version, alpha=half)
    findings = replace(findings, on_trust=on_trust, manifest=manifest, sample=sample, performance=shown)
    if sample.rows < MIN_ROWS or not _comparable(reference, sample.columns):
        return findings
    reference = watch.comparable(folder, reference, sample.columns)
    found = drift(reference, sample.columns, alpha=half)
    shapes = {
        column.name: shape_of(reference[column.name], sample.columns[column.name]) for column in found.columns[:DRAWN]
    }
    return replace(findings, drift=found, shapes=shapes)


def _predicted(store: Store, plan: Plan, *, since: float, until: float) -> dict[str, Any]:
    """Return what the log has of a window and of earlier ones, and the version to look at.

    That is the one that answered last, once it has enough to be judged: a bad one is seen long before it is the
    busiest.
    """

    def total(ago: float) -> int:
        return sum(rows_by_version(store, plan.model, since=since - ago, until=until - ago)[0].values())

    rows, version = rows_by_version(store, plan.model, since=since, until=until)
    if rows and rows[version] < MIN_ROWS:
        judged = predictions_with_feedback(store, plan.model, version, since=since, until=until)
        version = version if judged >= MIN_CLUSTERS else next(iter(rows))
    return {
        "rows_by_version": rows,
        "version": version,
        "rows_before": total(plan.window),
        "rows_earlier": total(DAY if plan.window < DAY else 7 * DAY),
    }


def _comparable(reference: Columns, window: Columns) -> bool:
    """Return whether a column has enough values on both sides."""
    return any(min(_given(reference[name]), _given(window[name])) >= MIN_GIVEN for name in reference)


def _given(column: NDArray[Any]) -> int:
    return int(np.sum(column != "") if column.dtype.kind == "U" else np.sum(~np.isnan(column)))


def bundle_of(plan: Plan, version: str) -> tuple[Path, str]:
    """Return the folder of the bundle that answered as `version`, and why that is taken on trust, if it is.

    Raises
    ------
    BundleError
        If it is not the folder that was given, or none was given and no registry has it.
    RegistryUnavailable
        If the registry does not answer, and the version was not downloaded before.
    """
    registered_one = version.isdigit() and len(version) < DIGITS  # a digest may be all digits as well
    if plan.bundle is not None:
        return plan.bundle, _check_given(plan, plan.bundle, version, registered_one=registered_one)
    if not registered_one:
        raise BundleError(f"version {version} was served from a folder: name it by --bundle")
    cache = ModelCache(plan.output / "bundles", plan.model)
    with cache.locked(), RegistryClient(plan.registry) as registry:
        try:
            registered = registry.version(plan.model, version)
        except RegistryUnavailable:
            if (good := cache.last_good()) and good[0].version == version:
                return good[1], ""
            raise
        folder = cache.obtain(registered, registry.download_bundle)
        cache.record_good(registered)
        return folder, ""


def _check_given(plan: Plan, folder: Path, version: str, *, registered_one: bool) -> str:
    """Compare the digest of a given folder with a version; return why nobody could say, if so."""
    digest = bundle_digest(folder)
    if digest[:DIGITS] == version:
        return ""
    if not registered_one:
        raise BundleError(f"{folder} is version {digest[:DIGITS]}, and {version} is looked at: give its folder")
    if not plan.registry:
        return "no registry was asked"
    with RegistryClient(plan.registry) as registry:
        try:
            expected = registry.version(plan.model, version).bundle_sha256
        except RegistryUnavailable as error:
            return without_secrets(str(error))
    if expected != digest:
        raise BundleError(f"{folder} is not version {version}, whose digest is {expected[:DIGITS]}: give its folder")
    return ""


def reference_of(folder: Path) -> Columns:
    """Read the reference of a bundle; one of earlier code has none, and is named with what to do."""
    try:
        return read_reference(folder)
    except FileNotFoundError as error:
        raise BundleError(f"{folder} has no reference to compare with: train again (`make train`)") from error
