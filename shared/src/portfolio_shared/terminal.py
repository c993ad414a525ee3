"""Commands by name, each with its settings, imported when it runs: command-line packages build all of them first.

Errors that a person can act on are one line; a bar says what runs.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Command:
    """A command: its flags are the fields of a settings class, whose docstring is its help."""

    settings: type[BaseSettings]
    run: Callable[[Any], None]

    @property
    def help(self) -> str:
        """The first line of the settings' docstring."""
        return (self.settings.__doc__ or "").strip().partition("\n")[0]


def run_command(program: str, commands: Mapping[str, Command], arguments: Sequence[str]) -> None:
    """Run the command that the first argument names, with the rest.

    Raises
    ------
    SystemExit
        With a line that says what is wrong, if there is no such command or it raises an error that a person can act
        on: a wrong value, file, or state of the network. Other errors keep their traceback: they are ours.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(f"usage: {program} COMMAND [options]; {program} COMMAND --help lists them\n\n")
        sys.stdout.writelines(f"  {name:9} {command.help}\n" for name, command in commands.items())
        return
    if name not in commands:
        sys.exit(f"{program}: no command {name!r}; there are {', '.join(commands)}")
    try:
        command = commands[name]
        command.run(CliApp.run(command.settings, cli_args=rest))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}, found {item['input']!r}"
            for item in error.errors(include_url=False)
        )
        sys.exit(f"{program} {name}: {problems}")
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{program} {name}: {error}")


@contextmanager
def progress(console: Console, what: str, *, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar with the step's name and the time left; yield the function that advances it by one step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=step)

        yield advance
