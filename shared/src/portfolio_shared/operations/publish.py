"""Where findings go: a report and JSON in a folder, gauges for Prometheus, a run in MLflow, a line on the terminal."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from pydantic import BaseModel
from rich.console import Console

from portfolio_shared.addresses import without_secrets
from portfolio_shared.evaluation.uncertainty import Interval
from portfolio_shared.operations.findings import Findings
from portfolio_shared.operations.report import as_html
from portfolio_shared.tracking.client import TrackingUnavailable
from portfolio_shared.tracking.runs import tracked_run

REPORT, FINDINGS, GAUGES = "report.html", "findings.json", "monitor.prom"
REPORTS_KEPT = 50
MODEL = {"project", "created", "git_commit", "data"}  # of the manifest
KINDS = ("drift", "performance", "missing")


def publish(findings: Findings, output: Path, tracking_uri: str, console: Console) -> None:
    """Write the report, the findings and the gauges, log a run where there is a server, and say what was found."""
    moment = datetime.fromtimestamp(findings.until, UTC)
    old = output / "reports"
    old.mkdir(parents=True, exist_ok=True)
    texts = {REPORT: as_html(findings), FINDINGS: as_json(findings)}
    worth_keeping = findings.verdict == "alarm" or findings.verdict != _last_verdict(output / FINDINGS)
    for name, text in texts.items():
        replace_file(output / name, text)
        replace_file(old / f"{moment:%Y-%m-%dT%H-%M-%S}{Path(name).suffix}", text)
    for suffix in (".html", ".json"):
        for path in sorted(old.glob(f"*{suffix}"))[:-REPORTS_KEPT]:
            path.unlink()
    write_to_textfile(str(output / GAUGES), gauges(findings))  # which replaces it at once
    if tracking_uri:
        _log_run(findings, texts if worth_keeping else {}, tracking_uri, console)
    trust = f"\n  The bundle is taken on trust: {findings.on_trust}." if findings.on_trust else ""
    said = f"{findings.project}: {findings.verdict.upper()}. {findings.summary}{trust}\n  {output / REPORT}"
    console.print(without_secrets(said), soft_wrap=True)


def replace_file(path: Path, text: str) -> None:
    """Write a file at once: nobody reads a part of it."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _last_verdict(path: Path) -> str | None:
    """Return the verdict of the look before; none where there was none that can be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["verdict"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def as_json(findings: Findings) -> str:
    """Return all that was found but the rows, with what follows from it; what is no number is null."""
    sample = findings.sample and replace(findings.sample, columns={})
    stored: dict[str, Any] = {"verdict": findings.verdict, "summary": findings.summary, "alarms": findings.reasons}
    stored |= asdict(replace(findings, sample=sample, manifest=None))
    stored["manifest"] = findings.manifest and findings.manifest.model_dump(mode="json", include=MODEL)
    return json.dumps(_plain(stored), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return what JSON can hold: null for what is no finite number."""
    if isinstance(value, (Interval, BaseModel)):
        value = value._asdict() if isinstance(value, Interval) else value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def gauges(findings: Findings) -> CollectorRegistry:
    """Return the gauges of one look."""
    registry = CollectorRegistry()

    def gauge(name: str, what: str, values: Mapping[Any, float], *labels: str) -> None:
        made = Gauge(name, what, ["project", *labels], registry=registry)
        for key, value in values.items():
            made.labels(findings.project, *key).set(value)

    drift, shown = findings.drift, findings.performance
    alarms = {(kind,): float(kind in findings.reasons) for kind in KINDS}
    gauge("monitor_alarm", "1 where a look raises an alarm, by its kind", alarms, "kind")
    gauge("monitor_rows", "Things that the version predicted in the window", {(): findings.rows})
    gauge("monitor_feedback_rows", "Truths that came in on them", {(): shown.rows if shown else 0})
    gauge("monitor_last_run_timestamp_seconds", "When a window was looked at last", {(): findings.until})
    if drift:
        gauge("monitor_drift_p", "Chance of so large a drift if there is none", {(): drift.p})
        gauge("monitor_drift_alpha", "At or below which it is an alarm", {(): drift.alpha})
        z = {(column.name,): column.z for column in drift.columns}
        gauge("monitor_column_z", "Drift of a column in standard deviations of chance", z, "column")
    means = {m.name: m.mean for m in shown.measures if m.mean} if shown else {}
    bounds = {(name, bound): value for name, mean in means.items() for bound, value in mean._asdict().items()}
    gauge("monitor_measure", "What the truths show, with its 95 % interval", bounds, "measure", "bound")
    return registry


def _log_run(findings: Findings, texts: Mapping[str, str], tracking_uri: str, console: Console) -> None:
    """Log a run with these files; what was found is worth more than a line in a log, so an outage is a warning."""
    from mlflow.exceptions import MlflowException

    drift, shown = findings.drift, findings.performance
    metrics: dict[str, Interval | float] = {"rows": findings.rows, "feedback_rows": shown.rows if shown else 0}
    metrics |= {f"alarm_{kind}": float(kind in findings.reasons) for kind in KINDS}
    metrics |= {"drift_p": drift.p, "drift_alpha": drift.alpha} if drift else {}
    metrics |= {f"z_{column.name}": column.z for column in drift.columns} if drift else {}
    metrics |= {measure.name: measure.mean for measure in shown.measures if measure.mean} if shown else {}
    tags = {"verdict": findings.verdict, "model_version": findings.version, "mlflow.note.content": findings.summary}
    name = f"{datetime.fromtimestamp(findings.until, UTC):%Y-%m-%d %H:%M} {findings.verdict}"
    try:
        with (
            tracked_run(tracking_uri, experiment=f"{findings.project}-monitoring", run_name=name, tags=tags) as run,
            tempfile.TemporaryDirectory() as scratch,
        ):
            folder = Path(scratch) / "report"
            folder.mkdir()
            for file, text in texts.items():
                (folder / file).write_text(text, encoding="utf-8")
            run.log_metrics(metrics)
            if texts:
                run.log_folder(folder)
    except (TrackingUnavailable, MlflowException) as error:
        console.print(without_secrets(f"{findings.project}: no run is logged: {error}"), soft_wrap=True)
