"""Each alarm is raised where it has to be and silent where it must not, as Prometheus' own promtool evaluates it."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import yaml
from prometheus_client import generate_latest
from pydantic import SecretStr
from required import missing

from portfolio_shared.operations.publish import gauges
from portfolio_shared.serving.metrics import ServiceMetrics
from portfolio_shared.serving.models import ModelNotReady
from portfolio_shared.serving.rollout import Rollout

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "docker/alerts.yml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALERTS if "alert" in rule]

ANSWERED = 'http_requests_total{method="POST", status="200", version="1"}'
FAILED = 'http_requests_total{method="POST", status="500", version=""}'
COUNT = "http_request_duration_seconds_count{}"
WRITTEN = 'prediction_log_rows_total{outcome="written"}'
DROPPED = 'prediction_log_rows_total{outcome="dropped_full"}'
ENABLED = "prediction_log_enabled{}"
SERVICE, MONITOR = 'up{job="services"}', 'up{job="monitors"}'
AGE, INFO = "model_age_seconds{}", 'model_info{version="1"}'
LOOKED = "monitor_last_run_timestamp_seconds{}"
STARTED = "process_start_time_seconds{}"


def finding(kind: str) -> str:
    return f'monitor_alarm{{kind="{kind}"}}'


def seconds(**counts: str) -> dict[str, str]:
    """Return the buckets of the latency: how many answers took no longer than 0.05, 0.5 and 2.5 s."""
    limits = {"fast": "0.05", "medium": "0.5", "slow": "2.5"}
    bucket = 'http_request_duration_seconds_bucket{{route="/v1/predictions", le="{}"}}'
    buckets = {bucket.format(limit): counts.get(name, "0+60x{n}") for name, limit in limits.items()}
    return buckets | {bucket.format("+Inf"): counts.get("slow", "0+60x{n}")}


WELL = {
    **dict.fromkeys((SERVICE, MONITOR, INFO, ENABLED), "1x{n}"),
    **dict.fromkeys((AGE, ANSWERED, WRITTEN, COUNT, LOOKED), "0+60x{n}"),
    **dict.fromkeys((DROPPED, *map(finding, ("drift", "performance", "missing"))), "0x{n}"),
    FAILED: "0+1x{n}",
    **seconds(),
}
GONE = dict.fromkeys(set(WELL) - {SERVICE, MONITOR, LOOKED, *map(finding, ("drift", "performance", "missing"))})
DAY = 26 * 60
AWAY = {
    **dict.fromkeys((SERVICE, MONITOR), "1x20 _x20 1x4"),
    ANSWERED: "900x20 _x20 900x4",
    FAILED: "100x20 _x20 100x4",
    WRITTEN: "0x20 _x20 0x4",
}
NEW = {SERVICE: "_x55 1x5", ANSWERED: "_x55 99x5", STARTED: "_x55 3300x5"}

# What happens, what differs from a day on which all is well (None: the metric is not there), and what is raised.
# {n} is the number of minutes.
CASES: list[tuple[str, dict[str, str | None], int, set[str]]] = [
    ("all is well", {}, 60, set()),
    ("no target", {SERVICE: None}, 60, {"Nothing to watch"}),
    ("no monitor is a target", {MONITOR: None}, 60, {"Nothing to watch"}),
    ("the service is gone", {**GONE, SERVICE: "0x{n}"}, 60, {"Service down"}),
    ("the service starts anew", {SERVICE: "1x58 0x1"}, 60, set()),
    ("no model", {INFO: None, AGE: None}, 60, {"No model ready"}),
    ("a model comes late", {INFO: "_x55 1x5", AGE: "_x55 0x5"}, 60, set()),
    ("requests are not counted", {ANSWERED: None, FAILED: None}, 60, {"Metrics missing"}),
    ("latencies are not measured", {COUNT: None}, 60, {"Metrics missing"}),
    ("the state of the log is unknown", {ENABLED: None}, 60, {"Metrics missing"}),
    ("nothing is known of looks", {LOOKED: None}, 60, {"Metrics missing", "Monitor has not looked lately"}),
    ("6 of 66 fail", {FAILED: "0+6x{n}"}, 60, {"Error share high"}),
    ("the first failures come at once", {FAILED: "_x55 40x5"}, 60, {"Error share high"}),
    ("Prometheus was away, and there were failures before", AWAY, 44, set()),
    ("a new service fails for a new Prometheus", {**NEW, FAILED: "_x55 40x5"}, 60, {"Error share high"}),
    (
        "nothing is written for a new Prometheus",
        {**NEW, FAILED: None, WRITTEN: "_x55 0x5"},
        60,
        {"Prediction log silent"},
    ),
    ("6 of 66 are turned away", {FAILED.replace("500", "429"): "0+6x{n}"}, 60, {"Error share high"}),
    ("half of the requests are wrong", {FAILED.replace("500", "422"): "0+60x{n}"}, 60, set()),
    ("4 of 8 fail", {ANSWERED: "_x55 4x5", FAILED: "_x55 4x5", WRITTEN: "_x55 4x5"}, 60, set()),
    ("half wait for more than half a second", seconds(fast="0+30x{n}", medium="0+30x{n}"), 60, {"Latency high"}),
    ("few wait", seconds(fast="0x{n}", medium="0x{n}") | {ANSWERED: "0+2x{n}", FAILED: "0x{n}"}, 60, set()),
    ("ten times as slow as the day before", seconds(fast="0+60x1530 91800x30"), DAY, {"Latency high"}),
    ("as slow as the day before", seconds(fast="0x{n}"), DAY, set()),
    ("trained 91 days ago", {AGE: f"{91 * 86400}x{{n}}"}, 60, {"Model old"}),
    ("trained 89 days ago", {AGE: f"{89 * 86400}x{{n}}"}, 60, set()),
    (
        "a guard takes the canary back",
        {'canary_stepped_back{reason="errors"}': "0x58 1x1"},
        60,
        {"Canary stepped back"},
    ),
    ("a row is dropped a minute", {DROPPED: "0+1x{n}"}, 60, {"Rows of the prediction log dropped"}),
    ("rows were dropped an hour ago", {DROPPED: "0 9x59"}, 60, set()),
    ("nothing is written", {WRITTEN: "9x{n}"}, 60, {"Prediction log silent"}),
    ("nothing is said of what is written", {WRITTEN: None, DROPPED: None}, 60, {"Prediction log silent"}),
    ("the first are not written", {ANSWERED: "_x55 999x5", WRITTEN: "0x{n}"}, 60, {"Prediction log silent"}),
    ("nobody asks", {ANSWERED: "9x{n}", FAILED: "9x{n}", WRITTEN: "9x{n}"}, 60, set()),
    ("the log is off", {WRITTEN: None, DROPPED: None, ENABLED: "0x{n}"}, 60, set()),
    ("no monitor answers", {MONITOR: "0x{n}"}, 60, {"Monitor down"}),
    ("the monitor starts anew", {MONITOR: "1x55 0x5"}, 60, set()),
    ("the last look is 3 hours ago", {LOOKED: "0x{n}"}, 180, {"Monitor has not looked lately"}),
    ("the last look is 2 hours ago", {LOOKED: "0x{n}"}, 120, set()),
    ("drift", {finding("drift"): "0x58 1x1"}, 60, {"Drift"}),
    ("worse than in the test", {finding("performance"): "0x58 1x1"}, 60, {"Performance worse"}),
    ("predictions are missing", {finding("missing"): "0x58 1x1"}, 60, {"Data missing"}),
]


@pytest.fixture(scope="module")
def promtool(request: pytest.FixtureRequest) -> str:
    path = shutil.which("promtool")
    if path is None:
        missing(request, "promtool", "no promtool on PATH: install Prometheus (Debian: apt-get install prometheus)")
    return path


def test_the_rules_are_valid(promtool: str) -> None:
    result = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def raised(series: Mapping[str, str | None], minutes: int, expected: set[str]) -> dict[str, Any]:
    """Return a test of promtool: what is firing after so many minutes."""
    values = {name.replace("{", '{project="housing", '): value for name, value in series.items() if value is not None}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": value.format(n=minutes)} for name, value in values.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)],
            }
        ],
    }


@pytest.mark.parametrize(("changes", "minutes", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_exactly_these_alarms_are_raised(
    promtool: str, tmp_path: Path, changes: Mapping[str, str | None], minutes: int, expected: set[str]
) -> None:
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [raised({**WELL, **changes}, minutes, expected)],
    }
    file = tmp_path / "case.yml"
    file.write_text(json.dumps(test), encoding="utf-8")  # which is YAML as well

    result = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alarm_has_a_case() -> None:
    assert set.union(*(case[3] for case in CASES)) == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize(
    "path", [RULES, *sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))], ids=lambda path: path.name
)
def test_the_metrics_that_are_read_are_written(path: Path) -> None:
    models = SimpleNamespace(current=mock.Mock(side_effect=ModelNotReady("none")), swaps=0, refused_bundles=0)
    settings = SimpleNamespace(rollout="canary", canary_share=0.1, subject_key=SecretStr(""))
    service = ServiceMetrics(models, SimpleNamespace(written=0, dropped={}), Rollout(settings, models, models))
    drift, shown = SimpleNamespace(p=1.0, alpha=0.1, columns=()), SimpleNamespace(rows=0, measures=())
    look = SimpleNamespace(project="housing", until=1.0, rows=100, reasons={}, drift=drift, performance=shown)
    written = (service.render() + generate_latest(gauges(look))).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", written, re.MULTILINE))
    parts = {f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket", "count")}

    names = r"(?<![:\w])((?:http|model|prediction_log|canary|monitor)_\w+)(?![:\w])"
    read = set(re.findall(names, path.read_text(encoding="utf-8")))
    assert read - kinds.keys() - parts == set()
    assert len(read) >= 4


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alarm_names_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)

    assert rule["alert"] in headings
    assert anchor == rule["alert"].lower().replace(" ", "-")  # as GitHub makes an anchor of a heading
    assert rule["annotations"]["summary"]
