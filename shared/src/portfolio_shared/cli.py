"""What the projects' commands do alike. A command line starts in a blink: heavy libraries are imported by what runs."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from portfolio_shared.environment import UnknownVariableError, refuse_unknown_variables
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.terminal import Command, run_command

S = TypeVar("S", bound=BaseSettings)


def run_project(program: str, commands: Mapping[str, Command], settings: Sequence[type[BaseSettings]]) -> None:
    """Run the command that the first argument of the process names.

    Parameters
    ----------
    settings
        Every settings class that reads the environment; all have the prefix of the first. A variable with that prefix
        that is a field of none of them is refused by name.

    Raises
    ------
    SystemExit
        With a line that says what is wrong, as `run_command` does.
    """
    prefix = settings[0].model_config["env_prefix"]
    try:
        refuse_unknown_variables(prefix, {field for kind in settings for field in kind.model_fields})
    except UnknownVariableError as error:
        sys.exit(f"{program}: {error}")
    run_command(program, commands, sys.argv[1:])


def flags_alone(settings: type[S]) -> type[S]:
    """Make a settings class read its flags and no environment: for what is a matter of one call, such as a file."""

    def sources(
        cls: type[BaseSettings],
        /,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del cls, settings_cls, others
        return (init_settings,)

    settings.settings_customise_sources = classmethod(sources)  # type: ignore[method-assign, assignment]
    return settings


def champion_stays(name: str, tracking_uri: str, *, real_data: Callable[[], bool]) -> bool:
    """Return whether the registry has a champion that `--if-missing` is content with, and say so.

    One that learned from generated data is replaced as soon as there are real ones.

    Parameters
    ----------
    tracking_uri
        MLflow server; empty for none, which has no champion.
    real_data
        Whether the data setting leads to other data than the generated sample; called only if it matters.
    """
    champion = champion_of(name, tracking_uri) if tracking_uri else None
    if champion is None:
        return False
    if champion.data_source != "sample" or not real_data():
        sys.stdout.write(f"{name}: version {champion.version} is champion ({champion.data_source} data)\n")
        return True
    sys.stdout.write(f"{name}: the champion learned from generated data, and now there are real ones\n")
    return False


def roll_back(name: str, tracking_uri: str) -> None:
    """Give the alias back to the champion before this one, and say which version that is."""
    from rich.console import Console

    from portfolio_shared.tracking.registry import rollback

    version = rollback(name, tracking_uri=tracking_uri)
    Console().print(f"{name}: version {version.version} is champion again ({version.data_source} data)")


@contextmanager
def counting(what: str, unit: str) -> Iterator[Callable[[int], Any]]:
    """Show on stderr how many rows of a file are done; yield the function that adds to the number."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,.0f}} {unit}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda rows: progress.advance(task, rows)


def end_batch(output: Path, *, done: int, refused: int, what: str) -> None:
    """Say on stderr what became of a file's rows; exit with 1 if some were refused."""
    from rich.console import Console

    Console(stderr=True).print(f"{output}: {done:,} {what}, {refused:,} refused (column error)")
    if refused:
        sys.exit(1)
