import io
import sys

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg
from rich.console import Console

from portfolio_shared.terminal import Command, progress, run_command


class Greeting(BaseSettings):
    """Say hello.

    This line is no part of the list.
    """

    name: CliPositionalArg[str]


class Refusal(BaseSettings):
    """Refuse everything."""

    kind: CliPositionalArg[str] = ""
    folds: int = Field(2, ge=2)


def greet(options: Greeting) -> None:
    sys.stdout.write(f"hello {options.name}\n")


def refuse(options: Refusal) -> None:
    raise {"file": FileNotFoundError("no such file"), "bug": KeyError("oops")}[options.kind]


COMMANDS = {"greet": Command(Greeting, greet), "refuse": Command(Refusal, refuse)}


def test_a_command_gets_the_arguments_after_its_name(capsys):
    run_command("toy", COMMANDS, ["greet", "you"])
    assert capsys.readouterr().out == "hello you\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands_with_their_docstrings(capsys, arguments):
    run_command("toy", COMMANDS, arguments)
    assert "  greet     Say hello.\n  refuse    Refuse everything.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "toy: no command 'dance'; there are greet, refuse"),
        (["refuse", "file"], "toy refuse: no such file"),
        (
            ["refuse", "file", "--folds", "1"],
            "toy refuse: folds: Input should be greater than or equal to 2, found '1'",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_line(arguments, message):
    with pytest.raises(SystemExit) as stopped:
        run_command("toy", COMMANDS, arguments)
    assert stopped.value.code == message


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(KeyError):
        run_command("toy", COMMANDS, ["refuse", "bug"])


def test_the_bar_says_what_ran_last():
    out = io.StringIO()
    with progress(Console(file=out, force_terminal=True, width=80), "start", total=2) as advance:
        advance("one")
        advance("two")
    assert "two" in out.getvalue()
    assert "2/2" in out.getvalue()
