import json
import re
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import httpx
import numpy as np
import pytest

from portfolio_shared.operations.findings import EXIT
from portfolio_shared.operations.monitor import monitor
from portfolio_shared.operations.report import as_html
from processes import free_port


@pytest.mark.parametrize("seed", range(3))
def test_a_window_like_the_reference_is_well(toy, seed):
    toy.predicted(toy.things(300, seed=100 + seed))
    findings = toy.look()
    assert findings.verdict == "well"
    assert findings.drift.p > findings.drift.alpha == findings.level / 2
    assert findings.summary == "What the model is asked looks like what it learned from."


@pytest.mark.long
@pytest.mark.parametrize(
    ("drifted", "column", "said"),
    [
        ({"larger": 1.0}, "size", r"most of all size: median 1[01]\.?\d* instead of (10|9.9)"),
        ({"kinds": ["c", "d"]}, "kind", r"most of all kind: most frequent [cd] instead of [abc]"),
    ],
)
def test_a_drift_is_an_alarm_that_names_the_column(toy, drifted, column, said):
    toy.predicted(toy.things(200, seed=7, **drifted))
    findings = toy.look()
    assert findings.verdict == "alarm"
    assert list(findings.reasons) == ["drift"]
    assert findings.drift.columns[0].name == column
    assert re.search(said, findings.summary), findings.summary


@pytest.mark.parametrize(
    ("rows", "before", "verdict", "said"),
    [
        (99, 500, "too few", "Too few rows to judge: 99, and it takes 100."),
        (0, 99, "too few", "Too few rows to judge: 0, and it takes 100."),
        (0, 100, "alarm", "No predictions came in, after 100 in the window before and 200 a day earlier."),
    ],
)
def test_too_few_rows_are_no_verdict_and_none_after_many_an_alarm(toy, rows, before, verdict, said):
    toy.predicted(toy.things(rows, seed=1))
    toy.predicted(toy.things(before, seed=2), ago=3600 + 60, name="before")
    toy.predicted(toy.things(200, seed=3), ago=86_400 + 60, name="earlier")
    findings = toy.look()
    assert (findings.verdict, findings.summary) == (verdict, said)
    assert findings.rows_before == before


@pytest.mark.parametrize(
    ("hours", "earlier", "alarm"), [(1, 24, True), (1, 22, False), (24, 168, True), (24, 120, False)]
)
def test_an_hour_without_predictions_is_an_alarm_only_if_it_had_some_the_day_before(toy, hours, earlier, *, alarm):
    """Of a window of a day or longer: the week before. Nights and Sundays are quiet."""
    toy.predicted(toy.things(100, seed=2), ago=3600 * hours + 60, name="before")
    toy.predicted(toy.things(100, seed=3), ago=3600 * earlier + 60, name="earlier")
    assert ("missing" in toy.look(window=3600.0 * hours).reasons) is alarm


@pytest.mark.parametrize(
    ("rows", "unreadable", "alarm"), [(200, 2, False), (200, 3, True), (400, 4, False), (9, 2, False)]
)
def test_rows_that_cannot_be_read_are_missing_when_they_are_three_and_one_in_a_hundred(toy, rows, unreadable, *, alarm):
    toy.predicted([*toy.things(rows, seed=3), *("{" * (i + 1) for i in range(unreadable))])
    findings = toy.look()
    sample = findings.sample
    assert (sample.rows, sample.read, sample.unreadable) == (rows, rows + unreadable, unreadable)
    assert ("missing" in findings.reasons) is alarm
    assert sample.reason == "JSONDecodeError"


@pytest.mark.parametrize(("unreadable", "alarm"), [(2, False), (3, True), (40, True)])
def test_truths_that_cannot_be_read_are_missing_as_well(toy, unreadable, *, alarm):
    ids = toy.predicted(toy.things(150, seed=3))
    toy.told({name: "{}" if i < unreadable else 1.5 for i, name in enumerate(ids[:40])})
    reasons = toy.look().reasons
    said = f"{unreadable / 40:.1%} of the truths cannot be read (ValidationError weight missing)."
    assert reasons == ({"missing": said} if alarm else {})


def test_nothing_that_somebody_sent_is_in_what_is_published(toy, capsys):
    """Neither of requests nor of truths that cannot be read, whichever error they end in."""
    ids = toy.predicted(toy.things(150, seed=3))
    toy.predicted(
        [json.dumps([{"size": "of Ann Smith", "rooms": i}]) for i in range(5)]
        + [json.dumps([f"Ann Smith {i}"]) for i in range(5)]
        + [f"Ann Smith {i}" for i in range(5)],
        name="q",
    )
    toy.told(dict.fromkeys(ids[:5], '{"weight": "paid by Ann Smith"}'))
    assert monitor(toy.watch, replace(toy.plan(), window=600.0)) == 1
    written = "".join(path.read_text() for path in (toy.folder / "monitor").iterdir() if path.is_file())
    assert "ValidationError weight float_parsing" in written
    assert "ValueError" in written
    assert "Smith" not in written + capsys.readouterr().err


def test_a_request_that_comes_again_counts_once(toy):
    """Or callers who ask twice would be a drift: rows are taken as independent."""
    rows = toy.things(150, seed=12)
    for name in "pqrs":
        toy.predicted(rows, name=name)
    findings = toy.look()
    assert (findings.rows, findings.sample.rows, findings.sample.repeated) == (600, 150, 450)
    assert findings.verdict == "well"
    assert "450 repeated requests left out" in as_html(findings)


def test_one_request_again_and_again_is_too_little_to_judge(toy):
    toy.predicted(toy.things(1, seed=12) * 120)
    assert toy.look().summary == "Too few rows to judge: 1 without 119 repeated requests, and it takes 100."


def test_a_log_that_is_not_there_is_missing(toy):
    findings = toy.look(log=f"sqlite:///{toy.folder}/other.db")
    assert findings.verdict == "alarm"
    assert "there is no prediction log at" in findings.reasons["missing"]
    assert not (toy.folder / "other.db").exists()


@pytest.mark.parametrize(("rows", "told", "last"), [(100, 1, True), (40, 30, True), (40, 29, False)])
def test_the_version_that_answered_last_is_looked_at_once_it_can_be_judged(toy, rows, told, *, last):
    """Else the busiest one; the others are counted."""
    old, new = ("0123456789ab", toy.version) if last else (toy.version, "0123456789ab")
    toy.predicted(toy.things(120, seed=4), version=old, name="old", ago=120)
    toy.predicted(toy.things(rows, seed=5), version=new, name="new")
    toy.told({f"new{i}": 1.5 for i in range(told)} | {"old0": 1.0, "old1": 1.0})
    findings = toy.look()
    assert findings.rows_by_version == {old: 120, new: rows}
    assert findings.version == toy.version
    assert findings.rows == (rows if last else 120)
    assert (findings.performance.rows, findings.performance.others) == ((told, 2) if last else (2, told))


def test_a_batch_counts_each_of_its_things(toy):
    batch = toy.things(150, seed=5)
    toy.predicted([json.dumps(batch)], items=150)
    assert toy.look().sample.rows == 150
    toy.predicted([json.dumps(batch[:-1])], items=150, name="short")
    assert toy.look().sample.reason == "ValueError"


@pytest.mark.parametrize(
    ("off", "alarm"),
    [(0.8, False), (0.7, False), (1.2, True)],
)
def test_truths_that_are_worse_than_the_test_are_an_alarm(toy, off, *, alarm):
    ids = toy.predicted(toy.things(100, seed=6))
    spread = np.random.default_rng(0).normal(off, 0.3, len(ids))
    toy.told(dict(zip(ids, (1 + np.abs(spread)).tolist(), strict=True)))
    findings = toy.look()
    assert ("performance" in findings.reasons) is alarm
    assert "drift" not in findings.reasons
    assert EXIT[findings.verdict] == int(alarm)
    if alarm:
        assert re.search(r"worse: absolute error 1\.\d+ instead of 0\.8\.", findings.summary), findings.summary
    else:
        assert findings.summary.endswith("and the answers are not measurably worse than on the test split.")


@pytest.mark.parametrize(
    ("every", "window", "level"), [(None, 86_400.0, 1 / 90), (3600.0, 86_400.0, 1 / 2160), (3600.0, 3600.0, 1 / 2160)]
)
def test_the_budget_of_a_month_is_divided_among_projects_and_looks(toy, every, window, level):
    assert toy.look(every=every, window=window).level == pytest.approx(level)


@pytest.mark.parametrize(("rows", "larger", "code"), [(150, 0.0, 0), (150, 2.0, 1), (50, 0.0, 2)])
def test_one_look_ends_with_its_verdict(toy, capsys, rows, larger, code):
    toy.predicted(toy.things(rows, seed=9, larger=larger), ago=5)
    assert monitor(toy.watch, toy.plan()) == code
    verdict = {0: "WELL", 1: "ALARM", 2: "TOO FEW"}[code]
    assert capsys.readouterr().err.startswith(f"toy: {verdict}. ")
    assert (toy.folder / "monitor" / "report.html").is_file()


@pytest.mark.long
@pytest.mark.slow
def test_the_log_may_be_in_postgresql(toy, postgresql):
    toy.url = postgresql.new_database("watched")
    ids = toy.predicted(toy.things(150, seed=11, larger=1.0))
    toy.told(dict.fromkeys(ids[:40], 1.0))
    findings = toy.look()
    assert list(findings.reasons) == ["drift"]
    assert (findings.rows, findings.performance.rows) == (150, 40)
    postgresql.stop()
    try:
        assert list(toy.look().reasons) == ["missing"]
    finally:
        postgresql.start()


def test_an_outage_costs_one_look(toy, monkeypatch, capsys, fake_registry):
    """The registry is away at the first look, the log at the second; the third finds all there."""
    toy.predicted(toy.things(150, seed=10), version="3", ago=-5)
    moments = iter([toy.now + 10 + i for i in range(100)])
    looks = []

    def sleep(seconds):
        looks.append(sorted(path.name for path in (toy.folder / "monitor").glob("*.html")))
        if len(looks) == 1:
            fake_registry.publish("3", toy.bundle)
            (toy.folder / "log.db").rename(toy.folder / "away")
        elif len(looks) == 2:
            (toy.folder / "away").rename(toy.folder / "log.db")
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr("portfolio_shared.operations.monitor.time.sleep", sleep)
    monkeypatch.setattr("portfolio_shared.operations.monitor.time.time", lambda: next(moments))
    plan = toy.plan(bundle=None, registry=fake_registry.uri, every=60.0)
    with pytest.raises(KeyboardInterrupt):
        monitor(toy.watch, plan)
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("toy")]
    assert lines[0].startswith("toy: NOT LOOKED AT: ")
    assert "has no version 3 of 'toy'" in lines[0]
    assert lines[1].startswith("toy: ALARM. The predictions cannot be read: there is no prediction log at")
    assert lines[2].startswith("toy: WELL. ")
    assert looks == [[], ["report.html"], ["report.html"]]


PROGRAM = """
    from portfolio_shared.cli import monitor_command, run_project
    from portfolio_shared.config import TrainSettings, command_settings
    from portfolio_shared.operations.watch import Watch
    from portfolio_shared.serving.settings import ServiceSettings
    from portfolio_shared.terminal import Command
    from pydantic import BaseModel
    from pydantic_settings import SettingsConfigDict

    class Train(TrainSettings):
        model_config = command_settings("TOY_TRAIN_")

    class Service(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="TOY_")
        port: int = 1
        model_name: str = "toy"

    WATCH = Watch("toy", BaseModel, None, {}, None, None, "", None, None)
    monitor = monitor_command("toy", "__main__:WATCH", Service)
    run_project("toy", {"train": Command(Train, print), "monitor": monitor})
"""


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.slow
@pytest.mark.long
def test_a_monitor_that_is_told_to_stop_stops_at_once(toy, tmp_path, signal_number, code):
    port = free_port()
    arguments = ["monitor", "--every", "1h", "--serve", port, "--prediction-log", toy.url, "--tracking-uri", ""]
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), *map(str, arguments), "--output", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            first = process.stderr.readline()
            assert first.startswith("toy: TOO FEW. Too few rows to judge: 0"), first
            assert "<h1>Too few rows to judge" in httpx.get(f"http://127.0.0.1:{port}/").text
            process.send_signal(signal_number)
            assert process.wait(timeout=30) == code  # and not after an hour
        finally:
            process.kill()


@pytest.mark.parametrize(("later", "code"), [(0.0, 0), (40_000.0, 2)])
def test_one_look_may_be_at_the_past(toy, later, code):
    toy.predicted(toy.things(300, seed=100), ago=50_000.0)
    assert monitor(toy.watch, toy.plan(until=toy.now - 49_000.0 + later)) == code
