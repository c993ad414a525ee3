"""What every project's command line promises; what its files of inputs and outputs hold is tested in the project."""

import importlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, command_line
from pydantic_settings import CliApp
from rich.console import Console
from small_models import SmallModel

from portfolio_shared.evaluation.sections import with_interval
from portfolio_shared.serving.registry_client import RegisteredVersion
from project_table import Project

COMMANDS = (
    "data",
    "train",
    "tune",
    "evaluate",
    "predict",
    "serve",
    "monitor",
    "retrain",
    "compare",
    "promote",
    "forget",
    "key",
    "rollback",
    "report",
)
SILENT_PORT = "http://127.0.0.1:9"


@pytest.fixture
def commands(project: Project) -> dict[str, Any]:
    commands: dict[str, Any] = importlib.import_module(f"{project.package}.cli").COMMANDS
    return commands


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_line(project.name, monkeypatch, capsys)


@pytest.fixture
def passed(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace what train, tune and report do; what they were given is collected."""
    given: list[Any] = []
    for name in ("train", "tune", "report"):
        monkeypatch.setattr(f"{project.package}.{name}.{name}", given.append)
    monkeypatch.setattr("portfolio_shared.serving.server.serve", lambda _, settings: given.append(settings))
    return given


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_what_it_does(run: Run, commands: dict[str, Any], arguments: list[str]) -> None:
    code, out, _ = run(*arguments)

    assert code == 0
    assert tuple(commands)[: len(COMMANDS)] == COMMANDS  # a project's own come after
    for name, command in commands.items():
        assert f"  {name:9} {command.help.splitlines()[0]}" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_names_it_and_lists_its_flags(
    run: Run, project: Project, commands: dict[str, Any], command: str
) -> None:
    """In one spelling: what `train` calls --tracking-uri is not --tracking_uri elsewhere."""
    code, out, _ = run(command, "--help")

    assert code == 0
    assert out.startswith(f"usage: {project.name} {command} ")
    assert "_" not in "".join(word for word in out.split() if word.startswith("--"))
    for name in commands[command].settings.model_fields:
        flag = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
        assert flag in out or name.upper() in out


def test_an_unknown_command_is_answered_with_the_known_ones(
    run: Run, project: Project, commands: dict[str, Any]
) -> None:
    code, out, err = run("trian")

    assert (code, out) == (1, "")
    assert err == f"{project.name}: no command 'trian'; there are {', '.join(commands)}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--seed", "-1"], "seed"),
        (["train", "--seed", "many"], "seed"),
        (["serve", "--port", "70000"], "port"),
        (["predict", "file", "--bundle", "nowhere"], "no model in nowhere: train first, or name one with --bundle"),
        (["predict"], "name a file"),
        (["evaluate", "--bundle", "nowhere"], "bundle.json"),
        (["data", "--data", "nowhere"], "data source 'nowhere' is none of auto, sample, full"),
        (["rollback", "--tracking-uri", SILENT_PORT], f"no MLflow server at {SILENT_PORT}"),
        (["promote", "--tracking-uri", SILENT_PORT], f"no answer from {SILENT_PORT}"),
    ],
)
def test_what_cannot_be_is_answered_in_one_line_that_names_it(
    run: Run, project: Project, arguments: list[str], expected: str
) -> None:
    code, _, err = run(*arguments)

    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert err.startswith(f"{project.name} {arguments[0]}: ")
    assert expected in err
    assert "pydantic.dev" not in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--nope"], "unrecognized arguments: --nope"),
        (["train", "--data"], "argument --data: expected one argument"),
        (["predict", "--bundle"], "argument --bundle: expected one argument"),
        (["data", "sample"], "unrecognized arguments: sample"),
    ],
)
def test_a_bad_flag_exits_with_2_and_is_named(run: Run, arguments: list[str], expected: str) -> None:
    code, _, err = run(*arguments)

    assert code == 2
    assert expected in err.splitlines()[-1]


def test_flags_and_variables_reach_what_is_run_and_flags_win(
    run: Run, passed: list[Any], project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"{project.prefix}TRAIN_SEED", "1")
    monkeypatch.setenv(f"{project.prefix}TRAIN_OUTPUT", str(tmp_path))
    monkeypatch.setenv(f"{project.prefix}WORKER_THREADS", "5")

    codes = [
        run("train", "--data", "sample", "--tracking-uri", "", "--if-missing", "--seed", "2")[0],
        run("tune", "--data", "sample", "--seed", "3")[0],
        run("report", "--data", "sample")[0],
        run("serve", "--port", "9001")[0],
    ]

    train, tune, report, serve = passed
    assert codes == [0, 0, 0, 0]
    assert (train.data, train.tracking_uri, train.if_missing) == ("sample", "", True)
    assert (train.seed, train.output) == (2, tmp_path)
    assert (tune.data, tune.seed, report.data, report.seed) == ("sample", 3, "sample", 1)
    assert (serve.port, serve.worker_threads, serve.host) == (9001, 5, "127.0.0.1")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_a_misspelt_variable_is_refused_by_name(
    run: Run, passed: list[Any], project: Project, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv(f"{project.prefix}TRAIN_SEDE", "3")

    code, _, err = run(command)

    nearest = f"{project.prefix}TRAIN_SEDE is not a setting; the nearest one is {project.prefix}TRAIN_SEED"
    assert code == 1
    assert err.startswith(f"{project.name}: {nearest}")
    assert passed == []


def test_a_misspelt_variable_of_the_service_is_refused_by_name(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{project.prefix}PROT", "1")

    code, _, err = run("serve")

    assert code == 1
    assert f"{project.prefix}PROT is not a setting; the nearest one is {project.prefix}PORT" in err


def test_all_commands_mean_one_bundle_and_predictions_go_elsewhere(
    commands: dict[str, Any], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training's --output is a folder; its variable must not name the file of `predict` as well."""
    bundle = importlib.import_module(f"{project.package}.config").BUNDLE
    monkeypatch.setenv(f"{project.prefix}TRAIN_OUTPUT", "trained")

    options = CliApp.run(commands["predict"].settings, cli_args=["file"])

    assert commands["train"].settings.model_fields["output"].default == bundle
    assert options.bundle == commands["evaluate"].settings.model_fields["bundle"].default == bundle
    assert options.output.suffix == ".csv"


def test_rolling_back_names_the_version_that_is_champion_again(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def rollback(name: str, *, tracking_uri: str) -> RegisteredVersion:
        asked.append((name, tracking_uri))
        return RegisteredVersion(name=name, version="3", run_id="r", bundle_sha256="0" * 64, data_source="sample")

    monkeypatch.setattr("portfolio_shared.tracking.registry.rollback", rollback)
    code, out, _ = run("rollback", "--tracking-uri", "http://here:5000")

    assert code == 0
    assert asked == [(project.name, "http://here:5000")]
    assert f"{project.name}: version 3 is champion again (sample data)" in out


def test_data_report_what_was_read_repaired_and_excluded(run: Run, small: SmallModel) -> None:
    data, table = small.trained.data, io.StringIO()
    Console(file=table, width=200).print(data.report.as_table())

    code, out, _ = run("data", "--data", small.config.data)

    assert code == 0
    assert data.source.reason in " ".join(out.split())
    assert table.getvalue() in out


@pytest.mark.long
def test_evaluating_prints_what_the_training_measured(run: Run, small: SmallModel) -> None:
    code, out, _ = run("evaluate", "--data", small.config.data, "--bundle", small.bundle)

    measured = {with_interval(interval) for interval in small.trained.evaluation.metrics.values()}
    printed = [line.split(": ")[-1] for line in out.splitlines() if re.search(r": \S+ \(\S+ to \S+\)$", line)]
    assert code == 0
    assert len(printed) >= 3
    assert set(printed) <= measured
    assert "was tested on" not in " ".join(out.split())


def test_a_bundle_with_a_changed_file_is_not_used(run: Run, small: SmallModel, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(small.bundle, tmp_path / "copy"))
    files = [path for path in copy.rglob("*") if path.is_file() and path.name != "bundle.json"]
    changed = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)

    code, _, err = run("predict", tmp_path / "inputs", "-o", tmp_path / "out.csv", "--bundle", copy)

    assert code == 1
    assert f"{changed.name}: expected sha256" in err
    assert not (tmp_path / "out.csv").exists()


def test_a_champion_is_enough_where_only_a_missing_one_is_trained(
    run: Run, passed: list[Any], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = RegisteredVersion(project.name, "2", "r", "0" * 64, "full")
    monkeypatch.setattr(
        "portfolio_shared.cli.champion_of", lambda name, uri: champion if name == project.name else None
    )

    code, out, _ = run("train", "--if-missing", "--data", "sample", "--tracking-uri", "http://here:5000")

    assert (code, passed) == (0, [])
    assert f"{project.name}: version 2 is champion (full data)" in out
