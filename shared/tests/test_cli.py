import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict

from portfolio_shared.cli import (
    champion_stays,
    counting,
    end_batch,
    flags_alone,
    rollback_command,
    run_project,
    serve_command,
)
from portfolio_shared.config import TrainSettings, command_settings
from portfolio_shared.serving.registry_client import RegisteredVersion
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import Command


class Options(TrainSettings):
    """Say something."""

    model_config = command_settings("TOY_TRAIN_")
    output: Path = Path("bundle")


@flags_alone
class FileOptions(BaseSettings):
    model_config = Options.model_config
    source: CliPositionalArg[Path]
    output: Path = Path("out.csv")


def say(options: Options) -> None:
    sys.stdout.write(f"seed {options.seed}, {options.output}\n")


COMMANDS = {"train": Command(Options, say), "predict": Command(FileOptions, say)}


def test_the_command_of_the_process_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["toy", "train", "--output", "here"])
    monkeypatch.setenv("TOY_TRAIN_SEED", "1")
    run_project("toy", COMMANDS)
    assert capsys.readouterr().out == "seed 1, here\n"


def test_a_misspelt_variable_ends_it_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["toy", "train"])
    monkeypatch.setenv("TOY_TRAIN_SEDE", "1")
    with pytest.raises(SystemExit, match="toy: TOY_TRAIN_SEDE is not a setting; the nearest one is TOY_TRAIN_SEED"):
        run_project("toy", COMMANDS)
    assert capsys.readouterr().out == ""


def test_a_variable_of_what_reads_flags_alone_is_no_setting(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["toy", "train"])
    monkeypatch.setenv("TOY_TRAIN_SOURCE", "in.csv")
    with pytest.raises(SystemExit, match="TOY_TRAIN_SOURCE is not a setting"):
        run_project("toy", COMMANDS)


def test_serving_gets_the_settings_that_were_given(monkeypatch):
    class ToySettings(ServiceSettings):
        """Serve the champion."""

        model_config = SettingsConfigDict(env_prefix="TOY_")
        port: int = 1
        model_name: str = "toy"

    seen = []
    monkeypatch.setattr("portfolio_shared.serving.server.serve", lambda *names, **fields: seen.append((names, fields)))
    command = serve_command("toy.serving.app:create_app", ToySettings)
    command.run(CliApp.run(ToySettings, cli_args=["--port", "9"]))
    ((names, fields),) = seen
    assert names == ("toy.serving.app:create_app", ToySettings)
    assert fields["port"] == 9


def test_what_reads_flags_alone_ignores_the_environment(monkeypatch):
    monkeypatch.setenv("TOY_TRAIN_OUTPUT", "folder-of-the-training")
    assert CliApp.run(Options, cli_args=[]).output == Path("folder-of-the-training")
    options = CliApp.run(FileOptions, cli_args=["in.csv"])
    assert (options.source, options.output) == (Path("in.csv"), Path("out.csv"))
    assert CliApp.run(FileOptions, cli_args=["in.csv", "--output", "x.csv"]).output == Path("x.csv")


@pytest.mark.parametrize(
    ("data_source", "real", "stays", "said"),
    [
        (None, True, False, ""),
        ("full", True, True, "toy: version 3 is champion (full data)\n"),
        ("path", False, True, "toy: version 3 is champion (path data)\n"),
        ("sample", False, True, "toy: version 3 is champion (sample data)\n"),
        ("sample", True, False, "toy: the champion learned from generated data, and now there are real ones\n"),
    ],
)
def test_a_champion_of_generated_data_gives_way_to_real_ones(monkeypatch, capsys, *, data_source, real, stays, said):
    version = data_source and RegisteredVersion("toy", "3", "run", "0" * 64, data_source)
    monkeypatch.setattr("portfolio_shared.cli.champion_of", lambda name, uri: version)
    assert champion_stays("toy", "http://here:1", real_data=lambda: real) is stays
    assert capsys.readouterr().out == said


def test_without_a_registry_there_is_no_champion_to_ask_for():
    assert champion_stays("toy", "", real_data=lambda: False) is False


def test_data_are_not_looked_for_where_they_cannot_matter(monkeypatch):
    monkeypatch.setattr(
        "portfolio_shared.cli.champion_of", lambda name, uri: RegisteredVersion("toy", "3", "run", "0" * 64, "full")
    )

    def look() -> bool:
        raise AssertionError("looked for data")

    assert champion_stays("toy", "http://here:1", real_data=look)


def test_rolling_back_names_the_version_that_serves_again(monkeypatch, capsys):
    asked = []

    def rollback(name, *, tracking_uri):
        asked.append((name, tracking_uri))
        return RegisteredVersion(name, "2", "run", "0" * 64, "full")

    monkeypatch.setattr("portfolio_shared.tracking.registry.rollback", rollback)
    command = rollback_command("toy", Options)
    command.run(CliApp.run(command.settings, cli_args=["--tracking-uri", "http://here:1"]))
    assert command.help == "Give the alias back to the champion before this one."
    assert asked == [("toy", "http://here:1")]
    assert capsys.readouterr().out == "toy: version 2 is champion again (full data)\n"


def test_a_batch_counts_its_rows_and_says_what_became_of_them(capsys):
    with counting("asking", "rows") as advance:
        advance(3)
    end_batch(Path("out.csv"), done=1234, refused=0, what="rows answered")
    assert "out.csv: 1,234 rows answered, 0 refused (column error)" in capsys.readouterr().err


def test_refused_rows_turn_the_exit_code(capsys):
    with pytest.raises(SystemExit) as ended:
        end_batch(Path("out.csv"), done=1, refused=2, what="rows answered")
    assert ended.value.code == 1
    assert "2 refused" in capsys.readouterr().err
