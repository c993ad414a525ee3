"""The pipeline's steps, outcomes and schedule, run in Dagster's own environment on commands that only pretend."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT
from environments import python_of

from portfolio_shared.operations import retrain
from portfolio_shared.operations.findings import EXIT
from project_table import Project, projects

pytestmark = pytest.mark.long  # the first use makes an environment

STEPS = ("data", "etl", "train", "gate", "monitor")
MONDAY, TUESDAY = "2026-11-30T03:17:00+00:00", "2026-12-01T03:17:00+00:00"
# A project's command that leaves what the real one leaves; `codes` says with which status it ends.
PRETENDED = """#!{python}
import hashlib, json, os, sys
from pathlib import Path

name, (command, *flags) = Path(sys.argv[0]).name, sys.argv[1:]
assert not [variable for variable in os.environ if variable.startswith(("DAGSTER_", "PIPELINE_", "PYTHONPATH"))]
code = json.loads(Path({codes!r}).read_text()).get(command, 0)
with open({calls!r}, "a") as calls:
    print(name, command, *flags, file=calls)
said = dict(zip(flags[::2], flags[1::2]))
champion = Path(".state") / f"{{name}}.champion"

def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()

def bundle():
    folder = Path(flags[flags.index("--output") + 1])
    files = {{"model.json": write(folder / "model.json", os.urandom(8).hex())}}
    write(folder / "bundle.json", json.dumps({{"data": {{"sha256": "d" * 64}}, "files": files}}))

if command == "data" and "--tables" in flags:
    folder = Path(said["--tables"])
    right = write(folder / "rows/0.parquet", "rows")
    stages = [{{"files": {{"rows/0.parquet": right if code < 100 else "0" * 64}}}}]
    source = {{"files": {{"elsewhere.csv": "1" * 64}}}}
    manifest = {{"source": source, "stages": stages, "excluded": {{"no price": 2}}}}
    write(folder / "manifest.json", json.dumps(manifest))
elif command == "train" and code == 0 and not champion.exists():
    write(champion, "")
    bundle()
elif command == "retrain" and code in (0, 5):
    bundle()
elif command == "monitor" and code < 3:
    folder = Path(".state/monitor") / name
    alarms = {{"drift": "lot_area"}} if code == 1 else {{}}
    write(folder / "findings.json", json.dumps({{"summary": f"looked, {{code}}", "alarms": alarms}}))
    write(folder / "report.html", "<html>")
code %= 100
print(f"{{name}} {{command}} ends with {{code}}")
sys.exit(code)
"""
LINE = [["housing", step] for step in STEPS]
TRAINING = LINE[2:4]
MONITORING = LINE[4:]


def of(select: list[list[str]], why: str = "schedule", **codes: int) -> dict[str, Any]:
    return {"select": select, "tags": {"why": why}, "codes": codes}


# In this order: the first trains the first champion.
CASES = {
    "first": of(LINE),
    "again": of(LINE, "drift"),
    "too little feedback": of(TRAINING, retrain=retrain.TOO_LITTLE),
    "another one runs": of(TRAINING, retrain=retrain.TAKEN),
    "refused": of(TRAINING, retrain=retrain.REFUSED),
    "MLflow is away": of(TRAINING, retrain=3),
    "mistake of the code": of(TRAINING, retrain=1),
    "unknown reason": of(TRAINING, "boredom"),
    "alarm": of(MONITORING, monitor=EXIT["alarm"]),
    "too few": of(MONITORING, monitor=EXIT["too few"]),
    "no monitor": of(MONITORING, monitor=3),
    "a monitor that crashed": of(MONITORING, monitor=101),
    "another file": of(LINE, data=100),
    "no data": of(LINE, data=1),
}
OWN = {"host": "127.0.0.1:3001"}
OPENED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
REQUESTS = {
    "a person opens it": ([OWN | {"sec-fetch-site": "none"} | OPENED], True),
    "the start page leads to it": ([OWN | {"sec-fetch-site": "same-site"} | OPENED], True),
    "a link elsewhere": ([OWN | {"sec-fetch-site": "cross-site"} | OPENED], True),
    "a link with a mutation": ([OWN | {"sec-fetch-site": "cross-site"} | OPENED, "GET", "/graphql"], False),
    "a frame elsewhere": ([OWN | {"sec-fetch-site": "cross-site"} | OPENED | {"sec-fetch-dest": "iframe"}], False),
    "the page itself": (
        [OWN | {"origin": "http://127.0.0.1:3001", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, "POST"],
        True,
    ),
    "curl": ([{"host": "localhost:3001"}, "POST"], True),
    "another name": ([{"host": "rebound.example:3001"}], False),
    "no name": ([{}], False),
    "a picture elsewhere": ([OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}], False),
    "a form elsewhere": ([OWN | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "POST"], False),
    "another port": ([OWN | {"origin": "http://127.0.0.1:8001"}, "POST"], False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """What happened to all cases and at two ticks, in one process."""
    commands = folder / "bin"
    commands.mkdir()
    for project in projects():
        path = commands / project.name
        given = {"python": sys.executable, "codes": str(folder / "codes.json"), "calls": str(folder / "calls")}
        path.write_text(PRETENDED.format(**given), encoding="utf-8")
        path.chmod(0o755)
    asked = {
        "folder": str(folder / "instance"),
        "codes": str(folder / "codes.json"),
        "cases": CASES,
        "ticks": [MONDAY, TUESDAY],
        "requests": [request for request, _ in REQUESTS.values()],
    }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "deploy/pipeline")]),
        "PIPELINE_COMMANDS": str(commands),
        "PIPELINE_FOLDER": str(folder),
        "PIPELINE_DATA": "sample",
        "PIPELINE_RETRY_SECONDS": "0",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_HOME": str(folder),
    }
    (folder / "instance").mkdir()
    command = [python_of("pipeline"), ROOT / "tests/pipeline_in_process.py", folder / "told.json"]
    result = subprocess.run(
        command, input=json.dumps(asked), env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return dict(json.loads((folder / "told.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def cases(told: dict[str, Any]) -> dict[str, Any]:
    return dict(told["cases"])


def test_every_project_of_the_table_has_every_step(told: dict[str, Any]) -> None:
    assert told["assets"] == sorted(f"{project.package}/{step}" for project in projects() for step in STEPS)


def test_it_imports_no_project(told: dict[str, Any]) -> None:
    ours = {"portfolio_shared", *(project.package for project in projects())}
    assert not ours & set(told["modules"])
    assert not {"pandas", "mlflow", "sklearn"} & set(told["modules"])


def test_the_line_runs_the_commands_in_order_and_the_first_training_is_the_whole_training(
    cases: dict[str, Any], folder: Path
) -> None:
    bundle, table = folder / ".state/retrain/housing/bundle", folder / ".state/etl/housing"
    calls = (folder / "calls").read_text(encoding="utf-8").splitlines()

    assert cases["first"]["success"]
    assert calls[:4] == [
        "housing data --data sample",
        f"housing data --data sample --tables {table}",
        f"housing train --if-missing --data sample --output {bundle}",
        "housing monitor --window 24h",
    ]
    assert cases["first"]["made"]["housing/gate"]["outcome"] == "first champion"
    assert calls[6:8] == [
        f"housing train --if-missing --data sample --output {bundle}",
        f"housing retrain --why drift --data sample --output {bundle}",
    ]
    assert cases["again"]["made"]["housing/gate"]["outcome"] == "passed"
    assert cases["again"]["made"]["housing/gate"]["why"] == "drift"


def test_what_is_handed_on_are_paths_and_hashes_and_nothing_is_pickled(cases: dict[str, Any], folder: Path) -> None:
    first = cases["first"]
    for step, name in {"etl": "manifest.json", "train": "bundle.json", "monitor": "report.html"}.items():
        made = first["made"][f"housing/{step}"]
        assert made["path"].endswith(name)
        assert len(made["sha256"]) == 64
        assert len(first["versions"][step]) == 64
    assert first["made"]["housing/etl"]["excluded: no price"] == 2
    assert first["made"]["housing/train"]["data"] == "d" * 64
    assert {each["handed over"] for each in cases.values()} == {0}
    kept = [path for path in (folder / "instance").rglob("*") if path.is_file()]
    assert kept
    assert {path.suffix for path in kept if path.read_bytes()[:2] == b"\x80\x04"} == set()


@pytest.mark.parametrize("name", ["too little feedback", "another one runs", "refused"])
def test_an_outcome_is_no_failure(cases: dict[str, Any], name: str) -> None:
    made = cases[name]["made"]
    assert cases[name]["success"]
    assert made["housing/gate"]["outcome"] == name
    assert ("housing/train" in made) == (name == "refused")  # only then there is a new bundle
    assert made["housing/gate"]["last line"].startswith("housing retrain ends with ")


RETRIES = {"no data": 2, "no monitor": 2, "MLflow is away": 0, "mistake of the code": 0, "a monitor that crashed": 0}


@pytest.mark.parametrize("name", RETRIES)
def test_a_download_and_a_monitor_are_tried_again_and_a_training_never(cases: dict[str, Any], name: str) -> None:
    assert (cases[name]["success"], cases[name]["retries"], cases[name]["made"]) == (False, RETRIES[name], {})


def test_a_failure_is_the_commands_last_line(cases: dict[str, Any]) -> None:
    assert "exit status 3: housing retrain ends with 3" in cases["MLflow is away"]["failures"][0]


def test_an_alarm_needs_findings_of_its_own(cases: dict[str, Any]) -> None:
    """A crash ends with the status of an alarm, and the findings of the time before are still there."""
    assert "has written no findings: housing monitor ends with 1" in cases["a monitor that crashed"]["failures"][0]


def test_a_reason_that_the_command_does_not_know_is_refused(cases: dict[str, Any]) -> None:
    assert "the tag why='boredom' of the run" in cases["unknown reason"]["failures"][0]


def test_an_alarm_is_a_check_that_fails_in_a_run_that_succeeds(cases: dict[str, Any]) -> None:
    assert cases["alarm"]["success"]
    assert cases["alarm"]["checks"] == {"monitor no_alarm": [False, "looked, 1"]}
    assert cases["too few"]["checks"] == {"monitor no_alarm": [True, "looked, 2"]}
    assert cases["too few"]["made"]["housing/monitor"]["outcome"] == "too few rows"
    assert cases["first"]["checks"]["train files_unchanged"] == [True, "all hashes are right"]


def test_nothing_learns_from_a_table_that_is_not_as_it_was_written(cases: dict[str, Any]) -> None:
    found = cases["another file"]
    assert found["checks"]["etl files_unchanged"] == [False, "rows/0.parquet is another file than was written"]
    assert set(found["made"]) == {"housing/data", "housing/etl"}


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_the_command_of_the_table_stores_files_that_their_manifest_names(project: Project, tmp_path: Path) -> None:
    words = [word.format(data="sample", folder=tmp_path / "stored") for word in project.etl]
    subprocess.run([Path(sys.executable).with_name(project.name), *words], cwd=tmp_path, check=True, timeout=120)
    folder = tmp_path / "stored"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    results = runpy.run_path(str(ROOT / "deploy/pipeline/results.py"))

    hashes = dict(results["hashes_in"](manifest))
    stored = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}
    assert stored == {name for name in hashes if name.endswith(".parquet")} != set()
    assert results["faults"](folder, manifest) == []
    assert all(isinstance(rows, int) for rows in manifest["excluded"].values())

    name = min(stored)
    (folder / name).write_bytes(b"changed")
    assert results["faults"](folder, manifest) == [f"{name} is another file than was written"]
    (folder / name).unlink()
    assert results["faults"](folder, manifest) == [f"{name} is missing"]


def test_one_schedule_trains_on_monday_and_monitors_every_day(told: dict[str, Any]) -> None:
    monday, tuesday = told["ticks"]
    monitors = [[f"monitor {p.name} {{}}", [f"{p.package}/monitor"], "schedule"] for p in projects()]
    trainings = [
        [f"train {p.name} {MONDAY[:10]}", [f"{p.package}/{step}" for step in STEPS[:-1]], "schedule"]  # once a day
        for p in projects()
    ]
    assert tuesday == [[key.format(TUESDAY), *rest] for key, *rest in monitors]
    both = [each for pair in zip(trainings, monitors, strict=True) for each in pair]
    assert monday == [[key.format(MONDAY), *rest] for key, *rest in both]
    assert (told["schedules"], told["cron"], told["starts"]) == (1, "17 3 * * *", "RUNNING")


def test_the_page_is_for_the_browser_that_opened_it(told: dict[str, Any]) -> None:
    assert dict(zip(REQUESTS, told["pass"], strict=True)) == {name: passes for name, (_, passes) in REQUESTS.items()}


def test_the_instance_tells_nobody_anything() -> None:
    settings = yaml.safe_load((ROOT / "deploy/pipeline/dagster.yaml").read_text(encoding="utf-8"))
    assert (settings["telemetry"]["enabled"], settings["nux"]["enabled"]) == (False, False)
    assert settings["concurrency"]["runs"]["max_concurrent_runs"] == 1
