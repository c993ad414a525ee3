import os
import re
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict

from portfolio_shared.cli import (
    DAY,
    champion_stays,
    counting,
    end_batch,
    flags_alone,
    forget_command,
    key_command,
    monitor_command,
    rollback_command,
    run_project,
)
from portfolio_shared.config import TrainSettings, command_settings
from portfolio_shared.operations.store import Feedback, LoggedPrediction, connect
from portfolio_shared.serving.api_keys import ApiKeys
from portfolio_shared.serving.prediction_log import hashed_subject
from portfolio_shared.serving.registry_client import RegisteredVersion
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import Command, run_command


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


class Service(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    port: int = 1
    model_name: str = "toy"


WATCH = object()


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ([], {}, {"log": "sqlite:///.state/predictions.db", "window": 86_400, "every": None, "address": None}),
        ([], {"PORTFOLIO_PREDICTION_LOG": "sqlite:///a.db"}, {"log": "sqlite:///a.db"}),
        (
            [],
            {"TOY_PREDICTION_LOG": "sqlite:///b.db", "TOY_BUNDLE": "b"},
            {"log": "sqlite:///b.db", "bundle": Path("b")},
        ),
        (["--prediction-log", "sqlite:///c.db"], {"TOY_PREDICTION_LOG": "off"}, {"log": "sqlite:///c.db"}),
        (["--every", "1h"], {}, {"window": 3600, "every": 3600, "output": Path(".state/monitor/toy")}),
        (["--every", "30m", "--window", "1d", "--serve", "9"], {}, {"window": DAY, "address": ("127.0.0.1", 9)}),
    ],
)
def test_the_monitor_finds_the_log_where_the_service_keeps_it(monkeypatch, arguments, variables, expected):
    monkeypatch.delenv("PORTFOLIO_PREDICTION_LOG", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plans = []
    monkeypatch.setitem(sys.modules, "toy", SimpleNamespace(WATCH=WATCH))
    monkeypatch.setattr(
        "portfolio_shared.operations.monitor.monitor", lambda watch, plan: plans.append((watch, plan)) or 2
    )
    command = monitor_command("toy", "toy:WATCH", Service)
    assert command.serves  # a sign of life every 30 seconds would fill the log of a monitor
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"monitor": command}, ["monitor", *arguments])
    [(watch, plan)] = plans
    assert (ended.value.code, watch) == (2, WATCH)
    assert {name: getattr(plan, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--window", "soon"], "toy monitor: window: Input should be a valid number"),
        (["--window", "0s"], "toy monitor: window: Input should be greater than 0"),
        (["--windo", "1h"], "toy monitor: unrecognized arguments: --windo 1h; --help lists the flags"),
        (["--serve", "1"], "toy monitor: --serve needs --every"),
    ],
)
def test_an_error_of_the_monitor_is_no_alarm(monkeypatch, capsys, arguments, message):
    monkeypatch.setenv("TOY_PREDICTION_LOG", "off")
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"monitor": monitor_command("toy", "toy:WATCH", Service)}, ["monitor", *arguments])
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith(message)


def test_a_monitor_with_nothing_to_look_at_says_so_and_ends_well(monkeypatch, capsys):
    monkeypatch.setenv("TOY_PREDICTION_LOG", "off")
    command = monitor_command("toy", "toy:WATCH", Service)
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"monitor": command}, ["monitor", "--every", "1h"])
    assert ended.value.code == 0
    assert capsys.readouterr().err.startswith("toy: nothing to look at: the service keeps no predictions")


def logged(name: str, subject: str) -> LoggedPrediction:
    return LoggedPrediction(name, 1.0, "toy", "1", "/v1/x", subject, 1, 1.0, "{}", "{}")


@pytest.mark.parametrize(
    ("arguments", "code", "left"),
    [
        (["a"], 0, ["b", "c"]),
        (["--subject", "me"], 0, ["c"]),
        (["--subject", "ann"], 0, ["a", "b", "c"]),
        (["d"], 1, ["a", "b", "c"]),
        (["--subject", "nobody"], 1, ["a", "b", "c"]),
        ([], 2, ["a", "b", "c"]),
        (["a", "--subject", "me"], 2, ["a", "b", "c"]),
    ],
)
def test_a_prediction_or_a_person_is_forgotten(monkeypatch, tmp_path, capsys, arguments, *, code, left):
    url = f"sqlite:///{tmp_path}/log.db"
    mine = hashed_subject(b"me", "key")
    with closing(connect(url)) as store:
        store.insert([logged("a", mine), logged("b", mine), logged("c", "")])
        store.add_feedback(Feedback("c", 0, 1.0, hashed_subject(b"ann", "key"), "{}"))
    monkeypatch.setenv("TOY_PREDICTION_LOG", url)
    monkeypatch.setenv("TOY_SUBJECT_KEY", "key")
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"forget": forget_command(Service)}, ["forget", *arguments])
    assert ended.value.code == code
    others = ", and 1 that they gave on others" if "ann" in arguments else ""
    said = f"{3 - len(left)} predictions forgotten, with their feedback{others}\n"
    assert capsys.readouterr().out == {2: ""}.get(code, said)
    with closing(connect(url)) as store:
        assert [row.id for row in store.predictions("toy", since=0, until=2)] == left


def test_a_key_is_made_and_known_by_its_line(capsys):
    run_command("toy", {"key": key_command(Service)}, ["key", "ann"])
    key, entry = re.fullmatch(
        r"The key, shown this once: (\S+)\nA line for TOY_API_KEY_FILE: (\S+)\n", capsys.readouterr().out
    ).groups()
    assert ApiKeys(Service(api_keys=entry)).name_of(key.encode()) == "ann"


def test_without_the_key_no_person_is_looked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TOY_PREDICTION_LOG", f"sqlite:///{tmp_path}/log.db")
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"forget": forget_command(Service)}, ["forget", "--subject", "me"])
    assert ended.value.code == 2
    assert "set TOY_SUBJECT_KEY" in capsys.readouterr().err


def test_a_log_that_is_not_there_is_not_made(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TOY_PREDICTION_LOG", f"sqlite:///{tmp_path}/log.db")
    with pytest.raises(SystemExit) as ended:
        run_command("toy", {"forget": forget_command(Service)}, ["forget", "a"])
    assert ended.value.code == 2
    assert f"there is no prediction log at {tmp_path}/log.db" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
