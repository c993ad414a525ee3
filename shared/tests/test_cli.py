import os
import signal
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg

from portfolio_shared.cli import (
    champion_stays,
    counting,
    end_batch,
    flags_alone,
    rollback_command,
    run_project,
)
from portfolio_shared.config import TrainSettings, command_settings
from portfolio_shared.serving.registry_client import RegisteredVersion
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


COMMANDS = {"train": Command(Options, print), "predict": Command(FileOptions, print)}


def test_a_variable_of_what_reads_flags_alone_is_no_setting(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["toy", "train"])
    monkeypatch.setenv("TOY_TRAIN_SOURCE", "in.csv")
    with pytest.raises(SystemExit, match="TOY_TRAIN_SOURCE is not a setting"):
        run_project("toy", COMMANDS)


def test_what_reads_flags_alone_ignores_the_environment(monkeypatch):
    monkeypatch.setenv("TOY_TRAIN_OUTPUT", "folder-of-the-training")
    assert CliApp.run(Options, cli_args=[]).output == Path("folder-of-the-training")
    options = CliApp.run(FileOptions, cli_args=["in.csv"])
    assert (options.source, options.output) == (Path("in.csv"), Path("out.csv"))
    assert CliApp.run(FileOptions, cli_args=["in.csv", "--output", "x.csv"]).output == Path("x.csv")


LEARNED = "toy: the champion (version 3) learned from a sample, and "


@pytest.mark.parametrize(
    ("champion", "sample", "stays", "printed"),
    [
        (None, "unasked", False, ""),
        (("full", "a" * 64), "unasked", True, "toy: version 3 is champion (full data)\n"),
        (("path", "a" * 64), "unasked", True, "toy: version 3 is champion (path data)\n"),
        (("sample", "a" * 64), "a" * 64, True, "toy: version 3 is champion (sample data)\n"),
        (("sample", "a" * 64), "b" * 64, False, f"{LEARNED}another sample ships now\n"),
        (("sample", ""), "b" * 64, False, f"{LEARNED}another sample ships now\n"),
        (("sample", "a" * 64), None, False, f"{LEARNED}now there are other data\n"),
    ],
)
def test_a_champion_of_a_sample_gives_way_to_other_data(monkeypatch, capsys, champion, sample, *, stays, printed):
    version = champion and RegisteredVersion("toy", "3", "run", "0" * 64, *champion)

    def sample_sha256():
        assert sample != "unasked", "looked for data where they cannot matter"
        return sample

    monkeypatch.setattr("portfolio_shared.cli.champion_of", lambda name, uri: version)
    assert champion_stays("toy", "http://here:1", sample_sha256=sample_sha256) is stays
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("data", "warned"), [(("sample", ""), True), (("sample", "a" * 64), False), (("full", ""), False)]
)
def test_a_rollback_to_generated_data_says_that_it_will_not_last(monkeypatch, capsys, data, *, warned):
    version = RegisteredVersion("toy", "2", "run", "0" * 64, *data)
    monkeypatch.setattr("portfolio_shared.tracking.registry.rollback", lambda name, tracking_uri: version)
    command = rollback_command("toy", Options)
    command.run(command.settings(tracking_uri="http://here:1"))
    printed = capsys.readouterr()
    assert printed.out == f"toy: version 2 is champion again ({data[0]} data)\n"
    assert ("learned from generated data of an earlier commit; the next `make up` trains anew" in printed.err) is warned


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


def test_a_command_that_is_told_to_stop_ends_as_one_that_failed(monkeypatch):
    def stop(options):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["toy", "train"])
    try:
        with pytest.raises(SystemExit) as ended:
            run_project("toy", {"train": Command(Options, stop)})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
