"""The MLflow server starts with what it needs and nothing more; scripts/mlflow_server.py lends it to a command."""

import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import mlflow_server as module
from mlflow_server import MlflowServer, local_port, running_server
from processes import ProcessError, free_port

pytestmark = pytest.mark.slow

ASK_HEALTH = (
    "import os, sys, httpx;"
    "sys.exit(7 if httpx.get(os.environ['MLFLOW_TRACKING_URI'] + '/health', trust_env=False).is_success else 1)"
)


def test_only_known_names_reach_the_server(running_mlflow: MlflowServer) -> None:
    port = httpx.URL(running_mlflow.uri).port
    url = f"{running_mlflow.uri}/api/2.0/mlflow/experiments/search?max_results=1"
    for host, status in {f"localhost:{port}": 200, "127.0.0.1": 200, "mlflow.example.org": 403}.items():
        assert httpx.get(url, headers={"Host": host}).status_code == status, host


def test_no_job_runners_are_started(running_mlflow: MlflowServer) -> None:
    listed = subprocess.run(["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in listed.splitlines()]
    children = [line for line in lines if line[0] == str(running_mlflow.process.popen.pid)]
    assert len(children) == 1
    grandchildren = [line for line in lines if line[0] == children[0][1]]
    assert len(grandchildren) == 1  # uvicorn with one worker is one process
    assert "uvicorn" in grandchildren[0][2]


def with_mlflow(folder: Path, uri: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, module.__file__, *command],
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_running_mlflow_is_used_and_left_running(tmp_path: Path, mlflow_server: str) -> None:
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
    result = with_mlflow(tmp_path, mlflow_server, sys.executable, "-c", ASK_HEALTH, **proxies)

    assert result.returncode == 7, result.stderr
    assert not (tmp_path / ".state").exists()
    assert httpx.get(f"{mlflow_server}/health", trust_env=False).is_success


@pytest.mark.long
def test_without_one_it_is_started_and_stopped_with_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    uri = f"http://127.0.0.1:{free_port()}"

    result = with_mlflow(folder, uri, sys.executable, "-c", ASK_HEALTH)

    assert result.returncode == 7, result.stderr
    assert (folder / ".state" / "mlflow" / "mlflow.db").is_file()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{uri}/health", trust_env=False)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in listed


def test_other_clients_that_a_command_starts_are_told_what_needs_no_proxy(tmp_path: Path, mlflow_server: str) -> None:
    ask = "import os, urllib.request as r; r.urlopen(os.environ['MLFLOW_TRACKING_URI'] + '/health', timeout=9)"
    result = with_mlflow(tmp_path, mlflow_server, sys.executable, "-c", ask, http_proxy="http://127.0.0.1:9")

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("uri", ["http://mlflow.invalid:5500", "https://127.0.0.1:1", "http://127.0.0.1"])
def test_a_server_that_neither_answers_nor_can_be_started_is_an_error(tmp_path: Path, uri: str) -> None:
    result = with_mlflow(tmp_path, uri, "true")

    assert result.returncode == 1
    assert f"MLFLOW_TRACKING_URI={uri}" in result.stderr


SECRET = "s3cret"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    ("uri", "variables", "said"),
    [
        (
            f"http://user:{SECRET}@mlflow.invalid:5500",
            {},
            "MLFLOW_TRACKING_URI=http://***@mlflow.invalid:5500: no MLflow server at",
        ),
        (f"http://user:{SECRET[:3]}#{SECRET}@127.0.0.1:5500", {}, "is no address: expected scheme://host:port"),
        (f'http://me:top "{SECRET}@mlflow.invalid:1', {}, "MLFLOW_TRACKING_URI=http://***@mlflow.invalid:1: no MLflow"),
        (f"http://bob:2024/{SECRET}@127.0.0.1:5500", {}, "is no address: expected scheme://host:port"),
        ("http://mlflow.invalid", {"ALL_PROXY": f"socks5://u:{SECRET}@127.0.0.1:9"}, "pip install socksio"),
    ],
)
def test_what_is_wrong_with_an_address_is_one_line_without_its_password(
    tmp_path: Path, uri: str, variables: dict[str, str], said: str
) -> None:
    clean = dict.fromkeys(("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"), "")
    result = with_mlflow(tmp_path, uri, "true", **clean | variables)

    assert result.returncode == 1
    assert result.stderr.startswith("MLflow does not run: MLFLOW_TRACKING_URI")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert SECRET not in result.stderr


def test_a_password_does_not_hide_the_port() -> None:
    assert local_port(f"http://user:{SECRET}@127.0.0.1:5500") == 5500


OUT_OF_DATE = "Detected out-of-date database schema (found version {}, but expected dc11669786a5). Take a backup"


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("0123456789ab", "is of a newer MLflow than"),
        ("75868b020152", "is of an older MLflow: keep a copy of it, then run:"),
    ],
)
def test_a_database_of_another_mlflow_is_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, advice: str
) -> None:
    refuses = f"import sys; print('Traceback:'); sys.exit({OUT_OF_DATE.format(version)!r})"
    monkeypatch.setattr(module, "server_command", lambda *_: [sys.executable, "-c", refuses])
    state = tmp_path / "with a space"
    with pytest.raises(ProcessError) as refused, running_server(state=state, port=free_port()):
        pass

    said = str(refused.value)
    assert said.startswith(f"{state / 'mlflow.db'} {advice}")
    assert "\n" not in said
    if "older" in advice:
        command = shlex.split(said.partition("run: ")[2])
        assert command == [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{state / 'mlflow.db'}"]


def old_database(path: Path, steps: int) -> None:
    """Make a database as MLflow had it so many changes of its schema ago."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    path.parent.mkdir(parents=True)
    config = _get_alembic_config(f"sqlite:///{path}")
    revisions = [revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()]
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revisions[steps])
    engine.dispose()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_database_of_an_older_mlflow_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    database = folder / ".state" / "mlflow" / "mlflow.db"
    old_database(database, steps=20)
    uri = f"http://127.0.0.1:{free_port()}"
    assert with_mlflow(folder, uri, sys.executable, "-c", ASK_HEALTH).returncode == 7

    with sqlite3.connect(database) as connection:  # all tables are there, and one change is still to be recorded
        connection.execute("UPDATE alembic_version SET version_num = '17e22815139b'")
    connection.close()
    refused = with_mlflow(folder, uri, "true")
    assert refused.returncode == 1
    assert f"{database.relative_to(folder)} is of an older MLflow: keep a copy of it, then run: " in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_that_is_printed_upgrades_a_database(tmp_path: Path) -> None:
    database = tmp_path / "somebody's place" / "mlflow.db"
    old_database(database, steps=2)
    advice = module.advice_on_schema(database.parent, "75868b020152")
    subprocess.run(["bash", "-c", advice.partition("then run: ")[2]], cwd="/", capture_output=True, check=True)

    connection = sqlite3.connect(database)
    [(version,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    assert version in OUT_OF_DATE
