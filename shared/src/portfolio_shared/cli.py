"""What the projects' commands do alike. A command line starts in a blink: heavy libraries are imported by what runs."""

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_settings import BaseSettings, CliPositionalArg, PydanticBaseSettingsSource

from portfolio_shared.config import TrainSettings, command_settings, default_tracking_uri
from portfolio_shared.environment import UnknownVariableError, refuse_unknown_variables
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import Command, run_command, running, standard_streams

if TYPE_CHECKING:
    from portfolio_shared.results import Dataset

S = TypeVar("S", bound=BaseSettings)

DAY = 86_400.0
LOG_IS_OFF = "the service keeps no predictions (its prediction_log is off): name a log by --prediction-log"
PREDICTION_LOG = "sqlite:///PATH or postgresql://...; none: where the service keeps it"


def seconds_of(duration: object) -> object:
    """Return the seconds of a text such as 90s, 30m, 24h or 7d; what is none stays as it is.

    >>> seconds_of("24h"), seconds_of("1.5m"), seconds_of("soon")
    (86400.0, 90.0, 'soon')
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration) if isinstance(duration, str) else None
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": DAY}[found[2]] if found else duration


Duration = Annotated[float, BeforeValidator(seconds_of), Field(gt=0, allow_inf_nan=False)]


def run_project(program: str, commands: Mapping[str, Command]) -> None:
    """Run the command that the first argument of the process names, or exit as `run_command` does.

    A variable of the environment that has the prefix of `train` and is a field of no command's settings is refused by
    name.
    """
    with standard_streams():
        _run_project(program, commands)


def _run_project(program: str, commands: Mapping[str, Command]) -> None:
    prefix = commands["train"].settings.model_config["env_prefix"]
    kinds = [command.settings for command in commands.values() if command.settings.model_config["env_prefix"] == prefix]
    try:
        refuse_unknown_variables(prefix, {field for kind in kinds for field in kind.model_fields})
    except UnknownVariableError as error:
        sys.exit(f"{program}: {error}")
    # A training that gets SIGTERM ends as one that failed, and its run says so; a service has its own handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run_command(program, commands, sys.argv[1:])


def flags_alone(settings: type[S]) -> type[S]:
    """Make a settings class read its flags and no environment: for what is a matter of one call, such as a file."""

    def sources(*_: object, init_settings: PydanticBaseSettingsSource, **__: object) -> tuple[object]:
        return (init_settings,)

    settings.model_config["env_prefix"] = ""
    settings.settings_customise_sources = sources  # type: ignore[method-assign, assignment]
    return settings


def champion_stays(name: str, tracking_uri: str, *, sample_sha256: Callable[[], str | None]) -> bool:
    """Return whether the registry has a champion that `--if-missing` is content with, and say so.

    One that learned from a sample is replaced as soon as there are other data, or the sample is another one.

    Parameters
    ----------
    tracking_uri
        Of the MLflow server; without one there is no champion.
    sample_sha256
        Returns the SHA-256 of the sample, as a manifest has it, or None where the data setting leads to other data.
        Called only where the champion learned from a sample.
    """
    champion = champion_of(name, tracking_uri) if tracking_uri else None
    if champion is None:
        return False
    if champion.data_source != "sample" or (sample := sample_sha256()) == champion.data_sha256:
        sys.stdout.write(f"{name}: version {champion.version} is champion ({champion.data_source} data)\n")
        return True
    other = "now there are other data" if sample is None else "another sample ships now"
    sys.stdout.write(f"{name}: the champion (version {champion.version}) learned from a sample, and {other}\n")
    return False


def show_data(dataset: "Dataset") -> None:
    """Print where data come from, and what was read, repaired, excluded and kept."""
    from rich.console import Console

    Console().print(dataset.source.reason, dataset.report.as_table(), sep="\n", markup=False)


def rollback_command(name: str, train: type[TrainSettings]) -> Command:
    """Return the command that gives the alias back to the champion before this one."""

    class RollbackOptions(BaseSettings):
        """Give the alias back to the champion before this one."""

        model_config = train.model_config
        tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")

    def roll_back(options: RollbackOptions) -> None:
        from portfolio_shared.tracking.registry import rollback

        version = rollback(name, tracking_uri=options.tracking_uri)
        sys.stdout.write(f"{name}: version {version.version} is champion again ({version.data_source} data)\n")
        if version.data_source == "sample" and not version.data_sha256:
            # Versions have the hash of their data since samples are real.
            warning = "it learned from generated data of an earlier commit; the next `make up` trains anew"
            sys.stderr.write(f"{name}: {warning}\n")

    return Command(RollbackOptions, roll_back)


@flags_alone
class MonitorOptions(BaseSettings):
    """Compare what was predicted with the training; exit with 1 on an alarm, 2 for too few rows, 3 on an error."""

    model_config = command_settings("")
    window: Duration | None = Field(None, description="how far back a look goes, such as 7d; none: --every, or 24h")
    every: Duration | None = Field(None, description="look again after this time, such as 1h, until told to stop")
    until: AwareDatetime | None = Field(None, description="end of the window, such as 2026-05-01T12:00Z; none: now")
    budget: float = Field(1.0, gt=0, description="false alarms a month, over all projects, that are put up with")
    projects: int = Field(3, ge=1, description="projects that share the budget")
    prediction_log: str | None = Field(None, description=PREDICTION_LOG)
    bundle: Path | None = Field(None, description="folder of the model; none: the registry's version that answered")
    tracking_uri: str | None = Field(None, description="MLflow server; none: the service's; empty: log no run there")
    output: Path | None = Field(None, description="folder of reports; none: .state/monitor/PROJECT")
    serve: int | None = Field(None, ge=0, le=65535, description="port that shows the newest report; needs --every")
    host: str = Field("127.0.0.1", description="address for --serve; 0.0.0.0 inside a container")


def monitor_command(name: str, watch: str, service: type[ServiceSettings]) -> Command:
    """Return the command that watches what a project's service predicted.

    Parameters
    ----------
    watch
        Module and name of the project's `Watch`, such as ``housing.serving.observe:WATCH``.
    service
        Settings that say where the predictions are, unless a flag does.
    """

    def run(options: MonitorOptions) -> None:
        from portfolio_shared.operations.monitor import Plan, monitor

        if options.serve is not None and options.every is None:
            raise ValueError("--serve needs --every")
        if options.until is not None and options.every is not None:
            raise ValueError("--until is the end of one window, --every looks at those to come")
        settings = service()
        if not options.prediction_log and settings.prediction_log == "off":  # an error would be tried again for ever
            sys.stderr.write(f"{name}: nothing to look at: {LOG_IS_OFF}\n")
            sys.exit(0)
        module, _, attribute = watch.partition(":")
        plan = Plan(
            project=name,
            model=settings.model_name,
            log=log_of(options.prediction_log, settings),
            bundle=options.bundle or settings.bundle,
            registry=options.tracking_uri or settings.tracking_uri,
            tracking_uri=settings.tracking_uri if options.tracking_uri is None else options.tracking_uri,
            output=options.output or Path(".state/monitor", name),
            window=options.window or options.every or DAY,
            every=options.every,
            budget=options.budget,
            projects=options.projects,
            address=None if options.serve is None else (options.host, options.serve),
            until=None if options.until is None else options.until.timestamp(),
        )
        sys.exit(monitor(getattr(import_module(module), attribute), plan))

    return Command(MonitorOptions, run, serves=True, error=3)


def forget_command(service: type[ServiceSettings]) -> Command:
    """Return the command that deletes a prediction, or all that is kept of a person, with the feedback."""

    @flags_alone
    class ForgetOptions(BaseSettings):
        """Delete a prediction, or all of a person, from the log; exit with 1 if there was nothing."""

        model_config = command_settings("")
        prediction: CliPositionalArg[str] = Field("", description="id of its answer")
        subject: str = Field("", description="person, as the header X-Subject names them")
        prediction_log: str | None = Field(None, description=PREDICTION_LOG)

    def forget(options: ForgetOptions) -> None:
        from portfolio_shared.operations.window import open_log
        from portfolio_shared.serving.prediction_log import hashed_subject

        if bool(options.prediction) == bool(options.subject):
            raise ValueError("expected the id of a prediction, or --subject NAME")
        settings = service()
        key = settings.subject_key.get_secret_value()
        if options.subject and not key:
            variable = f"{settings.model_config['env_prefix']}SUBJECT_KEY"
            raise ValueError(f"without a key nothing is kept of X-Subject: set {variable} to that of the service")
        subject = hashed_subject(options.subject.encode(), key)
        with closing(open_log(log_of(options.prediction_log, settings))) as store:
            predictions, feedback = store.forget(prediction=options.prediction, subject=subject)
        said = f", and {feedback:,} that they gave on others" if feedback else ""
        sys.stdout.write(f"{predictions:,} predictions forgotten, with their feedback{said}\n")
        sys.exit(0 if predictions or feedback else 1)

    return Command(ForgetOptions, forget, error=2)


@flags_alone
class KeyOptions(BaseSettings):
    """Make a key for somebody who may ask the service; it is shown this once."""

    model_config = command_settings("")
    name: CliPositionalArg[str] = Field(description="whose key it is, as the service's log will say")


def key_command(service: type[ServiceSettings]) -> Command:
    """Return the command that makes an API key and the line by which the service knows it."""

    def make(options: KeyOptions) -> None:
        from portfolio_shared.serving.api_keys import new_key

        key, entry = new_key(options.name)
        prefix = service.model_config["env_prefix"]
        sys.stdout.write(f"The key, shown this once: {key}\nA line for {prefix}API_KEY_FILE: {entry}\n")

    return Command(KeyOptions, make)


def log_of(flag: str | None, settings: ServiceSettings) -> str:
    """Return the address of the prediction log: the flag's, or that of the service."""
    log = flag or settings.prediction_log
    if log == "off":
        raise ValueError(LOG_IS_OFF)
    return log


def serve_command(app_factory: str, settings: type[ServiceSettings]) -> Command:
    """Return the command that serves the champion over HTTP; for `app_factory` see `serve`."""

    def run(options: ServiceSettings) -> None:
        from portfolio_shared.serving.server import serve

        serve(app_factory, options)

    return Command(settings, run, serves=True)


@contextmanager
def counting(what: str, unit: str) -> Iterator[Callable[[int], Any]]:
    """Show on stderr how many rows of a file are done; yield the function that adds to the number."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:,.0f}} {unit}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        with running(console, lambda: f"{what}: {progress.tasks[0].completed:,.0f} {unit}"):
            yield lambda rows: progress.advance(task, rows)


def end_batch(output: Path, *, done: int, refused: int, what: str) -> None:
    """Say on stderr what became of a file's rows; exit with 1 if some were refused."""
    sys.stderr.write(f"{output}: {done:,} {what}, {refused:,} refused (column error)\n")
    if refused:
        sys.exit(1)
