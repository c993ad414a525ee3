"""Hosts and backups, as far as they can be seen without any: deploy/host.

`make compose-test` does the rest: it backs a stack up, restores it, and brings a container of Debian to this state.
"""

import configparser
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checkout import ROOT, tracked
from small_models import run_file

import host

HERE = ROOT / "deploy" / "host"
SNAPSHOT = HERE / "snapshot.py"


@pytest.fixture(scope="module")
def backup() -> ModuleType:
    return run_file(HERE / "backup.py", "host_backup")


def snapshot(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-c", SNAPSHOT.read_text(encoding="utf-8"), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder as MLflow's: a database in WAL mode, a model."""
    folder = tmp_path / "mlflow"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "artifacts" / "model.npz").write_bytes(b"weights")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE pairs (a, b)")
    return folder


# The copy of a volume


def test_a_copy_is_whole_while_somebody_writes(volume: Path, tmp_path: Path) -> None:
    """Each transaction writes a row twice: a copy that has one of them alone is torn."""
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(volume / "mlflow.db", timeout=30)) as database:
            number = 0
            while not stop.is_set():
                with database:
                    database.executemany("INSERT INTO pairs VALUES (?, ?)", [(number, "x" * 4000)] * 2)
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [snapshot("save", volume, "mlflow.db", "artifacts") for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    assert sorted(path.name for path in volume.iterdir() if path.name.endswith(".copy")) == []
    for number, copy in enumerate(copies):
        assert copy.returncode == 0, copy.stderr
        empty = tmp_path / f"empty-{number}"
        empty.mkdir()
        assert snapshot("load", empty, stdin=copy.stdout).returncode == 0
        assert (empty / "artifacts" / "model.npz").read_bytes() == b"weights"
        with closing(sqlite3.connect(empty / "mlflow.db")) as database:
            counts = {n for (n,) in database.execute("SELECT count(*) FROM pairs GROUP BY a")}
            assert counts <= {2}
    assert len(copies[-1].stdout) > len(copies[0].stdout), "nobody wrote meanwhile"


def test_what_is_not_there_or_damaged_is_no_backup(volume: Path) -> None:
    absent = snapshot("save", volume, "mlflow.db", "models")
    assert absent.returncode == 1
    assert b"models" in absent.stderr
    with (volume / "mlflow.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    damaged = snapshot("save", volume, "mlflow.db")
    assert damaged.returncode == 1
    assert b"damaged" in damaged.stderr or b"malformed" in damaged.stderr


def test_nothing_is_restored_over_what_is_there(volume: Path) -> None:
    copy = snapshot("save", volume, "mlflow.db")
    refused = snapshot("load", volume, stdin=copy.stdout)
    assert refused.returncode == 1
    assert b"is not empty: it has artifacts, mlflow.db" in refused.stderr


# The backup


def services(registry: str, log: str, artifacts: str = "/mlflow/artifacts") -> dict[str, Any]:
    """Return what `docker compose config` says of a stack, as far as it is read."""
    given = {"MLFLOW_BACKEND_STORE_URI": registry, "MLFLOW_ARTIFACTS_DESTINATION": artifacts}
    service = {"environment": {"PORTFOLIO_PREDICTION_LOG": log}, "volumes": [{"source": "models"}]}
    return {"mlflow": {"environment": given}, "housing": service, "housing-monitor": {}}


FILE, LOG = "sqlite:////mlflow/mlflow.db", "sqlite:////srv/predictions/log.db"
SERVER = "postgresql+psycopg://mlflow:secret@postgres/mlflow"
MODELS = ("mlflow", "/mlflow", ("artifacts",))


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (
            services(FILE, LOG),
            [("mlflow", "/mlflow", ("mlflow.db", "artifacts")), ("housing", "/srv/predictions", ("log.db",))],
        ),
        (
            services(SERVER, "postgresql://mlflow:secret@postgres/predictions"),
            [("postgres", "mlflow", ()), MODELS, ("postgres", "predictions", ())],
        ),
        (services(FILE, "off", "s3://bucket/models"), [("mlflow", "/mlflow", ("mlflow.db",))]),
        (services("postgresql://mlflow:secret@db.example/mlflow", "off"), [MODELS]),
    ],
    ids=["files", "postgresql", "a bucket", "a database elsewhere"],
)
def test_what_is_saved_is_what_the_stack_keeps(
    backup: ModuleType, stack: dict[str, Any], expected: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = backup.parts_of(stack)
    assert [(part.service, part.place, part.names) for part in found] == expected
    assert len({part.file for part in found}) == len(found)
    said = capsys.readouterr().err
    assert ("db.example" in said) == ("db.example" in str(stack))
    assert "secret" not in said


@pytest.fixture
def engine(backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put folders in the place of an engine's volumes; return a function: how the stack is called -> its volumes."""
    name = ["first"]

    def volume_of(place: str) -> Path:
        return tmp_path / name[0] / place.strip("/").replace("/", "-")

    def compose(*arguments: str, read: int | None = None, out: int | None = None, environment: Any = None) -> str:
        if arguments[0] == "config":
            return json.dumps({"services": services(FILE, LOG)})
        if arguments[0] == "exec":
            return json.dumps({"model": {"version": 7}})
        code = arguments.index("-c") + 1
        how, place, *names = arguments[code + 1 :]
        volume_of(place).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-c", arguments[code], how, str(volume_of(place)), *names]
        result = subprocess.run(command, stdin=read, stdout=out, stderr=subprocess.PIPE, check=False)
        if result.returncode:
            raise backup.BackupError(result.stderr.decode())
        return ""

    monkeypatch.setattr(backup, "compose", compose)

    def become(other: str) -> Path:
        name[0] = other
        return tmp_path / other

    return become


def fill(volumes: Path) -> None:
    for place, name in (("mlflow", "mlflow.db"), ("srv-predictions", "log.db")):
        (volumes / place).mkdir(parents=True)
        with closing(sqlite3.connect(volumes / place / name)) as database, database:
            database.execute("CREATE TABLE t AS SELECT ? AS name", (name,))
    (volumes / "mlflow" / "artifacts").mkdir()


def test_a_backup_fills_an_empty_stack_and_no_other(
    backup: ModuleType, engine: Callable[[str], Path], tmp_path: Path
) -> None:
    fill(engine("first"))
    made = backup.save(tmp_path / "backups")
    assert json.loads((made / "manifest.json").read_bytes())["champions"] == {"housing": "7"}
    assert {path.name for path in made.iterdir()} == {"manifest.json", "mlflow.tar", "predictions.tar"}
    assert made.stat().st_mode & 0o077 == 0

    restored = engine("second")
    backup.restore(made)
    with closing(sqlite3.connect(restored / "srv-predictions" / "log.db")) as database:
        assert database.execute("SELECT name FROM t").fetchall() == [("log.db",)]
    with pytest.raises(backup.BackupError, match="is not empty"):
        backup.restore(made)

    third = engine("third")
    (third / "srv-predictions").mkdir(parents=True)
    (third / "srv-predictions" / "log.db").touch()  # the last of its parts
    with pytest.raises(backup.BackupError, match="is not empty"):
        backup.restore(made)
    assert list((third / "mlflow").iterdir()) == []


def test_a_service_that_is_not_ready_is_named(
    backup: ModuleType, engine: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fill(engine("first"))
    monkeypatch.setattr(backup, "champions", lambda _: {})
    made = backup.save(tmp_path / "backups")
    assert json.loads((made / "manifest.json").read_bytes())["not_ready"] == ["housing"]
    assert "will not ask for them: housing" in capsys.readouterr().err


def test_a_backup_that_was_changed_is_refused_before_anything_is_written(
    backup: ModuleType, engine: Callable[[str], Path], tmp_path: Path
) -> None:
    fill(engine("first"))
    made = backup.save(tmp_path / "backups")
    with (made / "predictions.tar").open("ab") as file:  # the last of its files
        file.write(b"\0")
    restored = engine("second")
    with pytest.raises(backup.BackupError, match=r"predictions\.tar is not what was saved"):
        backup.restore(made)
    assert not restored.exists()


def test_the_newest_backups_stay_and_nothing_half_done(backup: ModuleType, tmp_path: Path) -> None:
    names = [f"2026-12-0{day}T023000Z" for day in range(1, 6)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    (tmp_path / "2026-12-06T023000Z.partial").mkdir()
    (tmp_path / "mine").mkdir()
    backup.prune(tmp_path, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {*names[-2:], "mine"}


def test_a_backup_that_fails_leaves_none(backup: ModuleType, engine: Callable[[str], Path], tmp_path: Path) -> None:
    fill(engine("first"))
    shutil.rmtree(tmp_path / "first" / "mlflow" / "artifacts")
    (tmp_path / "backups" / "2026-12-06T023000Z.partial").mkdir(parents=True)
    with pytest.raises(backup.BackupError, match="artifacts"):
        backup.save(tmp_path / "backups")
    assert [path.suffix for path in (tmp_path / "backups").iterdir()] == [".partial"]


@pytest.mark.parametrize(
    ("address", "is_elsewhere"),
    [
        ("sqlite:////mlflow/mlflow.db", False),
        ("postgresql://mlflow@postgres/mlflow", False),
        ("off", False),
        ("postgresql://mlflow@db.example.org/mlflow", True),
    ],
)
def test_a_drill_refuses_a_database_on_another_host(backup: ModuleType, address: str, *, is_elsewhere: bool) -> None:
    services = {"mlflow": {"environment": {"MLFLOW_BACKEND_STORE_URI": address}}, "index": {"environment": None}}
    if is_elsewhere:
        with pytest.raises(backup.BackupError, match=r"db\.example\.org, which no drill may touch"):
            backup.refuse_elsewhere(services)
    else:
        backup.refuse_elsewhere(services)


# The host


def test_a_release_has_what_its_units_run_and_images_are_built_from() -> None:
    shipped = {name for name in tracked() if any(name == each or name.startswith(f"{each}/") for each in host.SHIPPED)}
    units = {path.name: unit(path) for path in HERE.glob("portfolio*.*")}
    assert set(units) == set(re.findall(r'"(portfolio[\w.-]*)"', (HERE / "deploy.py").read_text(encoding="utf-8")))
    run = units["portfolio-backup.service"]["Service"]["ExecStart"].split()
    assert run[1] in shipped
    assert run[-1] in (HERE / "deploy.py").read_text(encoding="utf-8")
    assert "deploy/host/snapshot.py" in shipped
    copied = {
        source
        for path in ROOT.glob("docker/*.Dockerfile")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY") and "--from=" not in line
        for source in line.split()[1:-1]
        if not source.startswith("--") and "$" not in source
    }
    assert {source for source in copied if not any(fnmatch(name, f"{source}*") for name in shipped)} == set()


def unit(path: Path) -> Mapping[str, Mapping[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser
