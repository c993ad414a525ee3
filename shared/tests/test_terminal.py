import io

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg
from rich.console import Console

from portfolio_shared.terminal import Command, progress, run_command


class Refusal(BaseSettings):
    """Refuse everything.

    This line is no part of the help.
    """

    kind: CliPositionalArg[str]
    folds: int = Field(2, ge=2)


def refuse(options):
    raise {"file": FileNotFoundError("no such file"), "bug": KeyError("oops")}[options.kind]


COMMANDS = {"refuse": Command(Refusal, refuse)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["file"], "toy refuse: no such file"),
        (["file", "--folds", "1"], "toy refuse: folds: Input should be greater than or equal to 2, found '1'"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_our_own_mistakes_keep_their_traceback(arguments, message):
    with pytest.raises(SystemExit) as stopped:
        run_command("toy", COMMANDS, ["refuse", *arguments])
    assert stopped.value.code == message
    with pytest.raises(KeyError):
        run_command("toy", COMMANDS, ["refuse", "bug"])


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
