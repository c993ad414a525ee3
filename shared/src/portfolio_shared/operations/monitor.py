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
from portfolio_shared.operations.drift import MIN_GIVEN, MIN_ROWS, alpha_of, drift
from portfolio_shared.operations.findings import EXIT, Findings
from portfolio_shared.operations.page import page
from portfolio_shared.operations.performance import performance
from portfolio_shared.operations.publish import publish
from portfolio_shared.operations.shapes import shape_of
from portfolio_shared.operations.store import Store, StoreError
from portfolio_shared.operations.watch import Columns, Watch, read_reference
from portfolio_shared.operations.window import open_log, read_window, rows_by_version
from portfolio_shared.serving.model_cache import ModelCache
from portfolio_shared.serving.registry_client import RegistryClient, RegistryUnavailable

MONTH = 30 * 86_400.0
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
        Folder of the model; none: from the registry, of the version that answered most.
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


def monitor(watch: Watch, plan: Plan) -> int:
    """Look once, or again and again; return 0 if all is well, 1 for an alarm, 2 for too few rows to judge."""
    console = Console(stderr=True, markup=False, highlight=False)
    if plan.every is None:
        findings = look(watch, plan, until=time.time())
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
    findings = replace(
        findings,
        rows_by_version=rows_by_version(store, plan.model, since=since, until=until),
        rows_before=sum(rows_by_version(store, plan.model, since=since - plan.window, until=since).values()),
    )
    if not findings.version:
        return findings
    folder = bundle_of(plan, findings.version)
    manifest = read_manifest(folder, project=watch.model)
    reference = reference_of(folder)
    predictions = store.predictions(plan.model, since=since, until=until)
    sample = read_window(predictions, watch.columns(folder), reference, version=findings.version)
    feedback = store.feedback(plan.model, since=since, until=until)
    half = findings.level / 2
    shown = performance(watch, feedback, manifest.metrics, version=findings.version, alpha=half)
    findings = replace(findings, manifest=manifest, sample=sample, performance=shown)
    if sample.rows < MIN_ROWS or not _comparable(reference, sample.columns):
        return findings
    reference = watch.comparable(folder, reference, sample.columns)
    found = drift(reference, sample.columns, alpha=half)
    shapes = {
        column.name: shape_of(reference[column.name], sample.columns[column.name]) for column in found.columns[:DRAWN]
    }
    return replace(findings, drift=found, shapes=shapes)


def _comparable(reference: Columns, window: Columns) -> bool:
    """Return whether a column has enough values on both sides."""
    return any(min(_given(reference[name]), _given(window[name])) >= MIN_GIVEN for name in reference)


def _given(column: NDArray[Any]) -> int:
    return int(np.sum(column != "") if column.dtype.kind == "U" else np.sum(~np.isnan(column)))


def bundle_of(plan: Plan, version: str) -> Path:
    """Return the folder of the bundle that answered as `version`.

    Raises
    ------
    BundleError
        If it is not the folder that was given, or none was given and no registry has it.
    RegistryUnavailable
        If the registry does not answer, and the version was not downloaded before.
    """
    if plan.bundle is not None:
        if not version.isdigit() and (digest := bundle_digest(plan.bundle)[:12]) != version:
            raise BundleError(f"{plan.bundle} is version {digest}, and {version} answered most: give its folder")
        return plan.bundle
    if not version.isdigit():
        raise BundleError(f"version {version} was served from a folder: name it by --bundle")
    cache = ModelCache(plan.output / "bundles", plan.model)
    with cache.locked(), RegistryClient(plan.registry) as registry:
        try:
            registered = registry.version(plan.model, version)
        except RegistryUnavailable:
            if (good := cache.last_good()) and good[0].version == version:
                return good[1]
            raise
        folder = cache.obtain(registered, registry.download_bundle)
        cache.record_good(registered)
        return folder


def reference_of(folder: Path) -> Columns:
    """Read the reference of a bundle; one of earlier code has none, and is named with what to do."""
    try:
        return read_reference(folder)
    except FileNotFoundError as error:
        raise BundleError(f"{folder} has no reference to compare with: train again (`make train`)") from error
