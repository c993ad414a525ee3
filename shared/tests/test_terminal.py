import io
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, CliPositionalArg
from rich.console import Console

from portfolio_shared import terminal
from portfolio_shared.terminal import Command, progress, run_command, running, signs_of_life


class Refusal(BaseSettings):
    """Refuse everything.

    This line is no part of the help.
    """

    kind: CliPositionalArg[str]
    folds: int = Field(2, ge=2)
    headers: dict[str, SecretStr] = {}


def refuse(options):
    server = OSError("no answer from postgresql://me:s3cret@db/x")
    errors = {"file": FileNotFoundError("no such file"), "bug": KeyError("oops"), "server": server}
    raise {**errors, "ctrl-c": KeyboardInterrupt()}[options.kind]


COMMANDS = {"refuse": Command(Refusal, refuse)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["file"], "toy refuse: no such file"),
        (["file", "--folds", "1"], "toy refuse: folds: Input should be greater than or equal to 2, found '1'"),
        (["file", "--headers", '{"key": ["s3cret"]}'], "toy refuse: headers.key: Input should be a valid string"),
        (["server"], "toy refuse: no answer from postgresql://***@db/x"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_our_own_mistakes_keep_their_traceback(arguments, message):
    with pytest.raises(SystemExit) as stopped:
        run_command("toy", COMMANDS, ["refuse", *arguments])
    assert stopped.value.code == message
    with pytest.raises(KeyError):
        run_command("toy", COMMANDS, ["refuse", "bug"])


@pytest.mark.parametrize("user", ["me:s3cret", 'me:it\'s "s3cret"', "bob:2024 s3cret"])
def test_a_flag_that_does_not_exist_is_one_line_and_shows_no_password(capsys, user):
    with pytest.raises(SystemExit) as stopped:
        run_command("toy", COMMANDS, ["refuse", "file", f"--fold=http://{user}@h"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "toy refuse: unrecognized arguments: --fold=http://***@h; --help lists the flags\n"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["file"], 3, "toy refuse: no such file\n"),
        (["file", "--folds", "1"], 3, "toy refuse: folds: Input should be greater than or equal to 2, found '1'\n"),
        (["file", "--nope"], 3, "toy refuse: unrecognized arguments: --nope; --help lists the flags\n"),
        (["ctrl-c"], 130, "toy refuse: stopped by Ctrl-C\n"),
    ],
)
def test_a_command_whose_status_says_something_has_another_one_for_errors(capsys, arguments, status, message):
    with pytest.raises(SystemExit) as stopped:
        run_command("toy", {"refuse": Command(Refusal, refuse, error=3)}, ["refuse", *arguments])
    assert stopped.value.code == status
    assert capsys.readouterr().err == message


def test_help_is_the_first_line_of_the_docstring(capsys):
    run_command("toy", COMMANDS, [])
    assert capsys.readouterr().out.endswith("  refuse    Refuse everything.\n")


def test_the_bar_says_what_ran_last():
    out = io.StringIO()
    with progress(Console(file=out, force_terminal=True, width=80), "start", total=2) as advance:
        advance("one")
        advance("two")
    assert "two" in out.getvalue()
    assert "2/2" in out.getvalue()


# Processes of their own: (what runs inside `standard_streams`) -> exit status, output, errors.
ARRANGED = """
import logging, sys
from rich.console import Console
from portfolio_shared.terminal import Command, run_command, standard_streams
from pydantic_settings import BaseSettings

def command(run):
    run_command("toy", {{"go": Command(BaseSettings, lambda _: run())}}, ["go"])

with standard_streams():
    {body}
"""


@contextmanager
def started(body, *closed, **environment):
    """Run a program whose standard streams of these names nobody reads, buffered as Python does by itself."""
    command = [sys.executable, "-c", ARRANGED.format(body=body)]
    environment = os.environ | {"PYTHONUNBUFFERED": ""} | environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        for name in closed:
            getattr(process, name).close()
        yield process


@pytest.mark.long
@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ],
)
def test_what_is_printed_is_utf_8_whatever_the_locale(locale):
    text = "L\u00e9on \u2192 \u5bb6"
    with started(f"text = {text!a}; print(text); Console().print(text); sys.stderr.write(text)", **locale) as process:
        out, err = process.communicate()
    assert (out.decode().split("\n"), err.decode()) == ([text, text, ""], text)
    assert process.returncode == 0


@pytest.mark.long
def test_names_of_files_are_utf_8_whatever_the_locale(tmp_path):
    (tmp_path / "L\u00e9on").touch()
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with started(f"import os; print(ascii(os.listdir({str(tmp_path)!r})))", **locale) as process:
        assert process.communicate() == (b"['L\\xe9on']\n", b"")


FOREVER = {
    "while True: print('line')": "stdout",
    "while True: print('line', flush=True)": "stdout",
    "while True: Console().print('line')": "stdout",
    "while True: Console(stderr=True).print('line')": "stderr",
    "while True: logging.warning('line'); Console(stderr=True).print('line')": "stderr",
    "command(lambda: [print('line', flush=True) for _ in iter(int, 1)])": "stdout",
    "command(lambda: [Console().print('line') for _ in iter(int, 1)])": "stdout",
}


@pytest.mark.parametrize(("body", "read"), FOREVER.items())
def test_a_program_whose_reader_goes_away_ends_in_silence_as_sigpipe_would_end_it(body, read):
    with started(body) as process:
        streams = {"stdout": process.stdout, "stderr": process.stderr}
        stream = streams.pop(read)
        assert stream.readline()
        stream.close()
        (other,) = streams.values()
        assert other.read() == b""
    assert process.returncode == 141


def test_a_reader_that_is_gone_before_the_last_line_is_seen_at_the_end():
    with started("print('line')", "stdout") as process:
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_error_is_told_although_nobody_reads_the_output():
    with started("print('line'); sys.exit('line 7 has 3 cells')", "stdout") as process:
        assert process.stderr.read() == b"line 7 has 3 cells\n"
    assert process.returncode == 1


def test_another_pipe_that_breaks_is_an_error_of_the_command():
    with started("command(lambda: (_ for _ in ()).throw(BrokenPipeError('of a worker')))") as process:
        assert process.communicate() == (b"", b"toy go: of a worker\n")
    assert process.returncode == 1


MISTAKE = """logging.warning('%s', 'http://u:s3cret@h')
    try:
        {}["http://u:s3cret@h"]
    except KeyError as error:
        logging.exception('http://u:s3cret@h')
        raise AssertionError('http://u:s3cret@h') from error"""


@pytest.mark.parametrize("user", ["u:s3cret", "u:top s3cret"])
def test_our_own_mistakes_and_logs_hold_no_password(user):
    with started(MISTAKE.replace("u:s3cret", user), TOY_TRACKING_URI=f"http://{user}@h") as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert b"s3cret" not in errors
    assert errors.count(b"http://***@h") >= 5
    assert errors.rstrip().endswith(b"AssertionError: http://***@h")


# Signs of life


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_long_command_says_now_and_then_what_runs_where_no_bar_does(monkeypatch, is_terminal):
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.01)
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=80)
    with signs_of_life("toy train"), progress(console, "candidates", total=3) as advance:
        advance("ridge")
        deadline = time.monotonic() + (0.3 if is_terminal else 30)
        while "so far" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert bool(re.search(r"^candidates: 1 of 3, 0:00:00 so far$", out.getvalue(), re.MULTILINE)) is not is_terminal


def test_a_command_that_runs_long_says_so_every_30_seconds(monkeypatch, capsys):
    assert terminal.QUIET_SECONDS == 30
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.01)
    slow = {
        "wait": Command(BaseSettings, lambda _: time.sleep(0.3)),
        "serve": Command(BaseSettings, lambda _: time.sleep(0.3), serves=True),
    }
    run_command("toy", slow, ["serve"])
    assert capsys.readouterr().out == ""
    run_command("toy", slow, ["wait"])
    assert capsys.readouterr().out.count("toy wait, 0:00:00 so far\n") > 1
    time.sleep(0.05)
    assert capsys.readouterr().out == ""


def test_the_innermost_says_what_runs(monkeypatch):
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.01)
    out, inner = Console(file=io.StringIO()), Console(file=io.StringIO())
    with signs_of_life("toy"), running(out, lambda: "outer"), running(inner, lambda: "inner"):
        deadline = time.monotonic() + 30
        while not inner.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert inner.file.getvalue().startswith("inner, ")


def test_what_ends_while_a_sign_of_life_is_given_does_not_end_the_signs(monkeypatch, capsys):
    class EndsMeanwhile(list):
        def __bool__(self):
            return True

    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(terminal, "_running", EndsMeanwhile())
    with signs_of_life("toy"):
        time.sleep(0.3)
    assert capsys.readouterr().out.count("toy, 0:00:00 so far\n") > 1
