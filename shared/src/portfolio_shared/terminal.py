"""Commands by name, each with its settings, imported when it runs: command-line packages build all of them first.

Errors that a person can act on are one line; a bar says what runs, or a line now and then where there is no terminal.
"""

import io
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, CliApp, SettingsError

from portfolio_shared.addresses import hold, without_secrets

if TYPE_CHECKING:  # of no use to a service
    from rich.console import Console

QUIET_SECONDS = 30.0
"""For so long at most a command says nothing that writes to a file or a pipe."""
_running: list[tuple["Console", Callable[[], str]]] = []  # where to say what runs, and what; the innermost is last


@dataclass(frozen=True)
class Command:
    """A command: its flags are the fields of a settings class, whose docstring is its help."""

    settings: type[BaseSettings]
    run: Callable[[Any], None]
    serves: bool = False
    """Whether it runs until somebody stops it, and writes a log of its own."""
    error: int | None = None
    """Exit status of every error, where 1 and 2 say something else."""

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
        on: a wrong value, file, or state of the network. Other errors keep their traceback: they are ours. Ctrl-C ends
        it with a line as well.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(f"usage: {program} COMMAND [options]; {program} COMMAND --help lists them\n\n")
        sys.stdout.writelines(f"  {name:9} {command.help}\n" for name, command in commands.items())
        return
    _hold(rest)
    if name not in commands:
        sys.exit(f"{program}: no command {name!r}; there are {', '.join(commands)}")
    command = commands[name]
    command.settings.model_config["cli_prog_name"] = f"{program} {name}"  # in the usage that --help begins with
    try:
        settings = CliApp.run(command.settings, cli_args=rest, cli_exit_on_error=False)
        with nullcontext() if command.serves else signs_of_life(f"{program} {name}"):
            command.run(settings)
    except SettingsError as error:
        problem = f"{str(error).removeprefix('error parsing CLI: ')}; --help lists the flags"
        _fail(f"{program} {name}: {problem}", command.error or 2)
    except ValidationError as error:
        problems = "; ".join(_problem(command.settings, item) for item in error.errors(include_url=False))
        _fail(f"{program} {name}: {problems}", command.error)
    except (ValueError, RuntimeError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise
        _fail(f"{program} {name}: {error}", command.error)
    except KeyboardInterrupt:
        _fail(f"{program} {name}: stopped by Ctrl-C", 128 + signal.SIGINT)


def _problem(settings: type[BaseSettings], item: ErrorDetails) -> str:
    """Return what is wrong with a value, and the value unless it is a secret."""
    field = settings.model_fields.get(str(item["loc"][0])) if item["loc"] else None
    found = "" if field is not None and "SecretStr" in str(field.annotation) else f", found {item['input']!r}"
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}{found}"


def _fail(problem: str, status: int | None) -> NoReturn:
    """Exit with a line that says what is wrong; with 1 where no other status is given."""
    if status is not None:
        sys.stderr.write(without_secrets(problem) + "\n")
    sys.exit(without_secrets(problem) if status is None else status)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make all that a program reads and prints UTF-8 whatever the locale, and its log and tracebacks free of secrets.

    Where the locale has another encoding the program starts anew: names of files have been read by then. Where nobody
    reads on, as behind ``| head``, it ends as SIGPIPE would end it: in silence, with status 141.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program
    for stream in (sys.stdout, sys.stderr):  # PYTHONIOENCODING may still say otherwise
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    _hold(os.environ.values())
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_LogRecord)
    try:
        yield
        sys.stdout.flush()
    except BaseException as end:
        if _has_lost_its_reader(end):
            _discard_output(1, 2)
            sys.exit(128 + signal.SIGPIPE)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_output(1)
        if isinstance(end, Exception):  # a mistake of ours
            sys.exit(without_secrets(traceback.format_exc().rstrip()))
        raise
    finally:
        logging.setLogRecordFactory(factory)


def _hold(texts: Iterable[str]) -> None:
    """Hide what is secret in the addresses among variables and arguments."""
    for text in texts:
        hold(text.partition("=")[2] if text.startswith("--") else text)


def _discard_output(*descriptors: int) -> None:
    """Let what is still in a buffer go nowhere: the interpreter would complain of it at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _has_lost_its_reader(end: BaseException | None) -> bool:
    """Return whether this came of a pipe that nobody reads: rich turns BrokenPipeError into SystemExit(1)."""
    if isinstance(end, BrokenPipeError):
        return True
    return isinstance(end, SystemExit) and end.code == 1 and _has_lost_its_reader(end.__context__)


def _nobody_reads() -> bool:
    """Return whether standard output or standard error is a pipe whose other end is closed."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class _LogRecord(logging.LogRecord):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.exc_info and self.exc_info[0]:
            self.exc_text = without_secrets("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 - the name of logging
        return without_secrets(super().getMessage())


@contextmanager
def signs_of_life(what: str) -> Iterator[None]:
    """Print a line with what runs every `QUIET_SECONDS`, where output is no terminal that shows a bar instead."""
    from rich.console import Console

    begun, end = time.monotonic(), threading.Event()

    def speak() -> None:
        while not end.wait(QUIET_SECONDS):
            [(console, describe)] = _running[-1:] or [(Console(), lambda: what)]  # it may end meanwhile
            if not console.is_terminal:
                passed = timedelta(seconds=round(time.monotonic() - begun))
                try:
                    print(f"{describe()}, {passed} so far", file=console.file, flush=True)
                except BrokenPipeError:  # the program ends when it prints next
                    return

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextmanager
def running(console: "Console", describe: Callable[[], str]) -> Iterator[None]:
    """Let `signs_of_life` say on this console what runs in a ``with`` block."""
    _running.append((console, describe))
    try:
        yield
    finally:
        _running.pop()


@contextmanager
def progress(console: "Console", what: str, *, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar with the step's name and the time left; yield the function that advances it by one step."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=step)

        with running(console, lambda: f"{what}: {bar.tasks[0].completed:.0f} of {total}"):
            yield advance
