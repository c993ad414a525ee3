"""`make pipeline` from its start to its end: the page, its schedule, a run in progress, and no process that is left."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from checkout import ROOT
from environments import python_of
from leftovers import leftovers

from processes import Process, free_port, start, wait_until_ready
from project_table import projects

pytestmark = pytest.mark.long

LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "portfolio"}
LAUNCH = "mutation($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename } }"
STATE = """query($of: ScheduleSelector!) { scheduleOrError(scheduleSelector: $of) { ... on Schedule {
  cronSchedule scheduleState { status } } } }"""
# A command that says that it runs, and does not end.
ENDLESS = "#!{python}\nimport time\nfrom pathlib import Path\nPath('started').touch()\ntime.sleep(600)\n"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def pipeline(tmp_path: Path, mlflow_server: str, port: int, mark: str) -> Iterator[Process]:
    python_of("pipeline")
    for project in projects():
        path = tmp_path / "bin" / project.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(ENDLESS.format(python=sys.executable), encoding="utf-8")
        path.chmod(0o755)
    given = {"MLFLOW_TRACKING_URI": mlflow_server, "PIPELINE_PORT": str(port), "PORTFOLIO_TEST_MARK": mark}
    with start(
        "the pipeline",
        [sys.executable, ROOT / "scripts/run_pipeline.py", "--data", "sample"],
        log=tmp_path / "log",
        folder=tmp_path,
        environment=os.environ | given | {"PIPELINE_COMMANDS": str(tmp_path / "bin")},
    ) as process:
        wait_until_ready(process, port, "/server_info", seconds=180)
        yield process


def ask(port: int, query: str, **variables: object) -> dict[str, object]:
    url = f"http://127.0.0.1:{port}/graphql"
    answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60, trust_env=False)
    return dict(answer.json()["data"])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc to look for processes in")
def test_ctrl_c_ends_all_of_it_and_the_command_in_progress(
    pipeline: Process, tmp_path: Path, port: int, mark: str
) -> None:
    name = projects()[0].package
    state = ask(port, STATE, of=LOCATION | {"scheduleName": "every_project"})["scheduleOrError"]
    assert state == {"cronSchedule": "17 3 * * *", "scheduleState": {"status": "RUNNING"}}

    selector = LOCATION | {"jobName": "steps", "assetSelection": [{"path": [name, "data"]}]}
    launched = ask(port, LAUNCH, run={"selector": selector, "runConfigData": {}, "mode": "default"})
    assert launched == {"launchRun": {"__typename": "LaunchRunSuccess"}}
    deadline = time.monotonic() + 120
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline, pipeline.log_end()
        time.sleep(0.2)
    assert len(leftovers(mark)) >= 9  # itself, three guards, what they guard, the run, its command

    os.kill(pipeline.popen.pid, signal.SIGINT)

    assert pipeline.popen.wait(60) == 0, pipeline.log_end()
    assert leftovers(mark) == []
    assert "Stopped." in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path, mlflow_server: str) -> None:
    taken = mlflow_server.rpartition(":")[2]
    process = start(
        "the pipeline",
        [sys.executable, ROOT / "scripts/run_pipeline.py"],
        log=tmp_path / "log",
        folder=tmp_path,
        environment=os.environ | {"MLFLOW_TRACKING_URI": mlflow_server, "PIPELINE_PORT": taken},
    )
    assert process.popen.wait(60) == 1
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == [
        f"Not started: port {taken} is taken (Address already in use): stop what runs there or set PIPELINE_PORT"
    ]
