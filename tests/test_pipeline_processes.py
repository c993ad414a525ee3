"""`make pipeline` from its start to its end: the page, its schedule, a run in progress, and no process that is left."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
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
RUNS = "{ runsOrError { ... on Runs { results { status } } } }"
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
def begin(tmp_path: Path, mlflow_server: str, port: int, mark: str) -> Callable[..., Process]:
    python_of("pipeline")
    for project in projects():
        path = tmp_path / "bin" / project.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(ENDLESS.format(python=sys.executable), encoding="utf-8")
        path.chmod(0o755)
    given = {"MLFLOW_TRACKING_URI": mlflow_server, "PORTFOLIO_TEST_MARK": mark}

    def begin(log: str, **settings: str) -> Process:
        told = {"PIPELINE_PORT": str(port), "PIPELINE_COMMANDS": str(tmp_path / "bin")} | settings
        command = [sys.executable, ROOT / "scripts/run_pipeline.py", "--data", "sample"]
        return start(
            "the pipeline", command, log=tmp_path / log, folder=tmp_path, environment=os.environ | given | told
        )

    return begin


@pytest.fixture
def pipeline(begin: Callable[..., Process], port: int) -> Iterator[Process]:
    with begin("log") as process:
        wait_until_ready(process, port, "/server_info", seconds=180)
        yield process


def ask(port: int, query: str, **variables: object) -> dict[str, object]:
    url = f"http://127.0.0.1:{port}/graphql"
    answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60, trust_env=False)
    return dict(answer.json()["data"])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc to look for processes in")
def test_ctrl_c_ends_all_of_it_and_the_command_in_progress(
    pipeline: Process, begin: Callable[..., Process], tmp_path: Path, port: int, mark: str
) -> None:
    """What was in progress has failed at the next start, and nothing waits for it."""
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

    with begin("log again") as again:
        wait_until_ready(again, port, "/server_info", seconds=180)
        assert ask(port, RUNS) == {"runsOrError": {"results": [{"status": "FAILURE"}]}}

        other = begin("log of another", PIPELINE_PORT=str(free_port()))

        assert other.popen.wait(60) == 1
        assert (tmp_path / "log of another").read_text(encoding="utf-8").splitlines() == [
            "Not started: another `make pipeline` runs in this folder: stop that one first"
        ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "PIPELINE_PORT={taken}",
            "port {taken} is taken (Address already in use): stop what runs there or set PIPELINE_PORT",
        ),
        (
            "PIPELINE_TRAIN_DAYS=montag",
            "PIPELINE_TRAIN_DAYS: 'montag' is no day: expected some of mon,tue,wed,thu,fri,sat,sun",
        ),
        ("PIPELINE_WINDOW=ever", "PIPELINE_WINDOW='ever': expected a number with s, m, h or d, such as 24h"),
    ],
)
def test_a_setting_that_cannot_be_is_said_in_one_line(
    begin: Callable[..., Process], tmp_path: Path, mlflow_server: str, setting: str, said: str
) -> None:
    taken = mlflow_server.rpartition(":")[2]
    name, value = setting.format(taken=taken).split("=")

    process = begin("log", **{name: value})

    assert process.popen.wait(60) == 1
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert lines == [f"Not started: {said.format(taken=taken)}"]
