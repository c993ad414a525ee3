"""Two retrainings never run at once: on one machine, and on two that share a registry."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from portfolio_shared.tracking import turns
from portfolio_shared.tracking.client import TrackingUnavailable, tracking_client
from portfolio_shared.tracking.turns import TAG, TakenError, only_one

pytestmark = pytest.mark.slow

HOLD = """
import sys
from pathlib import Path
from portfolio_shared.tracking.turns import TakenError, only_one

name, folder, uri = sys.argv[1:]
try:
    with only_one(name, Path(folder), tracking_uri=uri):
        print("in", flush=True)
        sys.stdin.read()
except TakenError as taken:
    print(taken, flush=True)
"""


@pytest.fixture
def name(request):
    """Name of a model that only this test registers."""
    return str(request.node.name)


@pytest.fixture
def start(name, mlflow_server):
    """Start a process that takes its turn with a folder and keeps it until its input is closed."""
    started = []

    def start(folder):
        command = [sys.executable, "-c", HOLD, name, str(folder), mlflow_server]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tag_of(name, uri):
    with tracking_client(uri) as client:
        return client.get_registered_model(name).tags.get(TAG)


def set_tag(name, uri, value):
    with tracking_client(uri) as client:
        client.set_registered_model_tag(name, TAG, value)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(turns, "SETTLE_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_a_turn_ends_with_its_block_whatever_happens_there(name, tmp_path, mlflow_server):
    with only_one(name, tmp_path, tracking_uri=mlflow_server):
        assert tag_of(name, mlflow_server).startswith(f"{datetime.now(UTC):%Y-%m-%dT%H}")
    assert tag_of(name, mlflow_server) is None
    with pytest.raises(ValueError, match="no data"), only_one(name, tmp_path, tracking_uri=mlflow_server):
        raise ValueError("no data")
    assert tag_of(name, mlflow_server) is None
    assert {path.name for path in tmp_path.iterdir()} <= {f"{name}.lock"}


def test_one_that_is_stopped_before_its_turn_begins_leaves_no_tag(name, tmp_path, mlflow_server, monkeypatch):
    def stopped(_):
        assert tag_of(name, mlflow_server)
        raise SystemExit(143)  # as SIGTERM ends a command

    monkeypatch.setattr(turns.time, "sleep", stopped)
    with pytest.raises(SystemExit), only_one(name, tmp_path, tracking_uri=mlflow_server):
        raise AssertionError("it has stood for no moment")
    assert tag_of(name, mlflow_server) is None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("hours", "goes_on"), [(5.9, False), (6.1, True)])
def test_a_tag_of_another_machine_bars_the_way_for_some_hours(name, tmp_path, mlflow_server, hours, *, goes_on):
    with only_one(name, tmp_path, tracking_uri=mlflow_server):
        pass  # it made the registered model
    then = datetime.now(UTC) - timedelta(hours=hours)
    set_tag(name, mlflow_server, f"{then:%Y-%m-%dT%H:%M:%S%z} another-machine 0123")
    if goes_on:
        with only_one(name, tmp_path, tracking_uri=mlflow_server):
            pass
        return
    expected = rf"runs since {then:%Y-%m-%dT%H:%M}.* on another-machine; if it died, delete the tag {TAG}"
    with pytest.raises(TakenError, match=expected), only_one(name, tmp_path, tracking_uri=mlflow_server):
        raise AssertionError("both run")
    assert tag_of(name, mlflow_server).endswith("another-machine 0123")


@pytest.mark.usefixtures("quick")
def test_a_tag_that_nobody_here_wrote_bars_no_way(name, tmp_path, mlflow_server):
    with only_one(name, tmp_path, tracking_uri=mlflow_server):
        pass
    set_tag(name, mlflow_server, "yes")
    with only_one(name, tmp_path, tracking_uri=mlflow_server):
        assert tag_of(name, mlflow_server) != "yes"


@pytest.mark.usefixtures("quick")
def test_a_registry_that_is_away_at_the_end_is_no_failure_and_the_next_turn_here_takes_over(
    name, tmp_path, mlflow_server, monkeypatch, caplog
):
    def away(uri):
        raise TrackingUnavailable("no MLflow server")

    with monkeypatch.context() as outage, only_one(name, tmp_path, tracking_uri=mlflow_server):
        outage.setattr(turns, "tracking_client", away)
    assert "the tag retraining of" in caplog.text
    assert tag_of(name, mlflow_server)
    with only_one(name, tmp_path, tracking_uri=mlflow_server):
        pass
    assert tag_of(name, mlflow_server) is None


@pytest.mark.long
@pytest.mark.parametrize("machines", [1, 2])
def test_of_two_that_start_together_one_runs(name, tmp_path, mlflow_server, start, machines):
    processes = [start(tmp_path / str(i % machines)) for i in range(2)]
    said = sorted((process.stdout.readline().strip() for process in processes), key=lambda line: line == "in")
    assert said[1] == "in"
    assert said[0].startswith(f"another retraining of {name} runs")
    assert tag_of(name, mlflow_server)


@pytest.mark.long
def test_one_that_was_killed_bars_the_way_elsewhere_and_not_here(name, tmp_path, mlflow_server, start):
    killed = start(tmp_path / "here")
    assert killed.stdout.readline() == "in\n"
    with (
        pytest.raises(TakenError, match="runs on this machine"),
        only_one(name, tmp_path / "here", tracking_uri=mlflow_server),
    ):
        raise AssertionError("both run")
    killed.kill()
    killed.wait()
    with pytest.raises(TakenError, match="if it died"), only_one(name, tmp_path / "there", tracking_uri=mlflow_server):
        raise AssertionError("both run")
    begun = time.monotonic()
    with only_one(name, tmp_path / "here", tracking_uri=mlflow_server):
        assert time.monotonic() - begun >= turns.SETTLE_SECONDS
    assert tag_of(name, mlflow_server) is None
