import io
import json
import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from portfolio_shared.operations.publish import KINDS, REPORTS_KEPT, publish
from portfolio_shared.tracking.client import tracking_client


def published(toy, findings, *, tracking_uri=""):
    said = io.StringIO()
    publish(findings, toy.folder / "monitor", tracking_uri, Console(file=said, markup=False, highlight=False))
    return said.getvalue()


def gauges_in(folder):
    families = text_string_to_metric_families((folder / "monitor.prom").read_text())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


@pytest.mark.long
def test_findings_are_kept_as_json_and_as_gauges(toy):
    ids = toy.predicted(toy.things(200, seed=7, larger=1.0))
    toy.told({name: 1.8 + i % 2 / 5 for i, name in enumerate(ids[:60])})
    findings = toy.look()
    said = published(toy, findings)
    assert said.startswith("toy: ALARM. What the model is asked has changed, most of all size")

    stored = json.loads((toy.folder / "monitor" / "findings.json").read_text())
    assert (stored["verdict"], list(stored["alarms"])) == ("alarm", ["drift"])
    assert stored["drift"]["columns"][0]["name"] == "size"
    assert stored["performance"]["measures"][0]["mean"]["estimate"] == pytest.approx(0.9)
    assert stored["sample"]["rows"] == 200
    assert "git_commit" in stored["manifest"]

    gauges = gauges_in(toy.folder / "monitor")
    assert gauges["monitor_drift_p", "toy"] == findings.drift.p
    assert gauges["monitor_drift_alpha", "toy"] == findings.drift.alpha
    assert {kind: gauges["monitor_alarm", kind, "toy"] for kind in KINDS} == {
        "drift": 1,
        "performance": 0,
        "missing": 0,
    }
    assert (gauges["monitor_rows", "toy"], gauges["monitor_feedback_rows", "toy"]) == (200, 60)
    assert gauges["monitor_column_z", "size", "toy"] == findings.drift.columns[0].z
    assert gauges["monitor_measure", "error", "estimate", "toy"] == pytest.approx(0.9)
    assert gauges["monitor_measure", "error", "high", "toy"] > gauges["monitor_measure", "error", "low", "toy"]
    assert gauges["monitor_last_run_timestamp_seconds", "toy"] == toy.now


def test_an_outage_of_the_log_is_a_gauge(toy):
    published(toy, toy.look(log=f"sqlite:///{toy.folder}/none.db"))
    gauges = gauges_in(toy.folder / "monitor")
    assert gauges["monitor_alarm", "missing", "toy"] == 1
    assert ("monitor_drift_p", "toy") not in gauges
    assert not any(math.isnan(value) for value in gauges.values())


def test_the_newest_reports_stay(toy):
    for i in range(REPORTS_KEPT + 3):
        toy.now = 1_800_000_000.0 + i
        published(toy, toy.look())
    kept = sorted(path.name for path in (toy.folder / "monitor" / "reports").iterdir())
    assert len(kept) == 2 * REPORTS_KEPT
    assert kept[0] == "2027-01-15T08-00-03.html"


def test_a_server_that_is_away_is_a_warning(toy, unused_uri):
    said = published(toy, toy.look(), tracking_uri=unused_uri)
    assert f"toy: no run is logged: no MLflow server at {unused_uri}" in said
    assert (toy.folder / "monitor" / "report.html").is_file()


@pytest.mark.long
@pytest.mark.parametrize(
    ("looks", "uploaded"),
    [(["few", "few", "well", "well"], [True, False, True, False]), (["drift", "drift", "few"], [True, True, True])],
)
def test_mlflow_gets_a_report_when_there_is_an_alarm_or_a_change(toy, monkeypatch, looks, uploaded):
    """And numbers at each look: an hourly report would fill its disk."""
    run = mock.Mock()
    monkeypatch.setattr("portfolio_shared.operations.publish.tracked_run", lambda *_, **__: nullcontext(run))
    for i, kind in enumerate(looks):
        toy.now += 7200
        toy.predicted(toy.things(5 if kind == "few" else 150, seed=i, larger=2.0 * (kind == "drift")), name=str(i))
        published(toy, toy.look(), tracking_uri="http://mlflow.example")
        assert (run.log_metrics.call_count, run.log_folder.call_count) == (i + 1, sum(uploaded[: i + 1]))


@pytest.mark.long
def test_mlflow_has_a_run_with_the_report(toy, mlflow_server, tmp_path):
    toy.predicted(toy.things(200, seed=7, larger=1.0))
    project = f"toy-{time.time_ns()}"
    findings = replace(toy.look(), project=project)
    published(toy, findings, tracking_uri=mlflow_server)
    with tracking_client(mlflow_server) as client:
        experiment = client.get_experiment_by_name(f"{project}-monitoring")
        [run] = client.search_runs([experiment.experiment_id])
        report = client.download_artifacts(run.info.run_id, "report/report.html", str(tmp_path))
    assert run.info.status == "FINISHED"
    assert run.data.tags["verdict"] == "alarm"
    assert run.data.metrics["alarm_drift"] == 1
    assert run.data.metrics["drift_p"] == findings.drift.p
    assert "What the model is asked has changed" in Path(report).read_text(encoding="utf-8")
