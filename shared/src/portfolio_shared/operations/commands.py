"""The commands that change which model serves, as far as the projects' are alike."""

import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg

from portfolio_shared.cli import PREDICTION_LOG, flags_alone, log_of
from portfolio_shared.config import TrainSettings, command_settings, default_tracking_uri
from portfolio_shared.serving.registry_client import RegistryClient
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import Command

ALIASES = ("champion", "challenger")


def retrain_command(name: str, project: str, train: type[TrainSettings], service: type[ServiceSettings]) -> Command:
    """Return the command that trains with what feedback teaches as well.

    Parameters
    ----------
    project
        The project's package, whose `train` has its `PROJECT` and whose `serving.observe` its `WATCH`.
    train, service
        Settings of a training, and those that say where the predictions are, unless a flag does.
    """

    class RetrainOptions(train):  # type: ignore[valid-type, misc]
        """Train with feedback as well; exit with 2 for too little, 3 on an error, 4 if one runs, 5 if refused."""

        output: Path = Field(Path(".state/retrain", name, "bundle"), description="folder that the bundle is written to")
        if_missing: Literal[False] = Field(default=False, description="of train alone")
        why: Literal["schedule", "drift", "hand"] = Field("hand", description="what starts it, for the record")
        promote: bool = Field(default=False, description="a model that passes replaces the champion without a person")
        anyway: bool = Field(default=False, description="train with however little feedback")
        prediction_log: str | None = Field(None, description=PREDICTION_LOG)

    def run(options: RetrainOptions) -> None:
        from portfolio_shared.operations.retrain import Plan, retrain

        plan = Plan(
            watch=import_module(f"{project}.serving.observe").WATCH,
            log=log_of(options.prediction_log, service()),
            why=options.why,
            may_promote=options.promote,
            anyway=options.anyway,
            state=Path(".state/retrain"),
        )
        sys.exit(retrain(import_module(f"{project}.train").PROJECT, options, plan))

    return Command(RetrainOptions, run, error=3)


@flags_alone
class CompareOptions(BaseSettings):
    """Say whether the challenger is better; exit with 0 to promote, 1 to keep, 2 to go on, 3 on an error."""

    model_config = command_settings("")
    champion: str = Field("", description="version; none: the one with the alias champion")
    challenger: str = Field("", description="version; none: the one with the alias challenger")
    alpha: float = Field(0.05, gt=0, le=0.5, description="chance of ever deciding wrongly between two that are equal")
    worthwhile: float = Field(0.0, ge=0, description="gain that is worth a change: keep if it is certainly smaller")
    prediction_log: str | None = Field(None, description=PREDICTION_LOG)
    tracking_uri: str = Field("", description="MLflow server that has the aliases; none: the service's")
    output: Path | None = Field(None, description="folder of the page; none: .state/compare/PROJECT")


def compare_command(name: str, watch: str, service: type[ServiceSettings]) -> Command:
    """Return the command that compares the challenger with the champion, by the feedback on what both answered.

    Parameters
    ----------
    watch, service
        As for `monitor_command`.
    """

    def run(options: CompareOptions) -> None:
        from rich.console import Console

        from portfolio_shared.operations.compare import compare
        from portfolio_shared.operations.comparison import EXIT
        from portfolio_shared.operations.comparison_page import publish_comparison
        from portfolio_shared.operations.window import open_log

        settings = service()
        uri, module = options.tracking_uri or settings.tracking_uri, watch.partition(":")
        versions = {alias: getattr(options, alias) or version_of(settings.model_name, alias, uri) for alias in ALIASES}
        with closing(open_log(log_of(options.prediction_log, settings))) as store:
            observed = getattr(import_module(module[0]), module[2])
            found = compare(observed, store, **versions, alpha=options.alpha, worthwhile=options.worthwhile)
        console = Console(markup=False)
        publish_comparison(found, name, options.output or Path(".state/compare", name), console)
        if found.decision == "keep":
            console.print(f"{name}: `{name} promote --none` takes the challenger out", soft_wrap=True)
        sys.exit(EXIT[found.decision])

    return Command(CompareOptions, run, error=3)


def version_of(model: str, alias: str, tracking_uri: str) -> str:
    """Return the version that an alias points to.

    Raises
    ------
    RuntimeError
        If there is none, or the registry does not answer.
    """
    with RegistryClient(tracking_uri) as registry:
        version = registry.alias(model, alias)
    if version is None:
        raise RuntimeError(f"{model} has no {alias} in the registry: name its version by --{alias}, or train one")
    return version.version


def promote_command(name: str, train: type[TrainSettings]) -> Command:
    """Return the command by which a person makes a version the champion."""

    class PromoteOptions(BaseSettings):
        """Make the challenger, or a version, the champion; exit with 0, or 1 and a line that says why not."""

        model_config = train.model_config
        version: CliPositionalArg[str] = Field("", pattern=r"^\d*$", description="none: that of the alias challenger")
        none: bool = Field(default=False, description="take the challenger out instead: nobody is promoted")
        tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")

    def run(options: PromoteOptions) -> None:
        from portfolio_shared.tracking.registry import promote, refuse

        if options.none and options.version:
            raise ValueError("--none takes the challenger out, and promotes no version")
        number = options.version or version_of(name, "challenger", options.tracking_uri)
        with RegistryClient(options.tracking_uri) as registry:
            version, before = registry.version(name, number), registry.alias(name, "champion")
        if options.none:
            refuse(version, "taken out by hand", tracking_uri=options.tracking_uri)
            said = "waits as challenger no more"
        elif before and before.version == number:
            said = "is champion already"
        else:
            promote(version, "by hand", tracking_uri=options.tracking_uri)
            replaced = f" instead of version {before.version}; `{name} rollback` goes back" if before else ""
            said = f"is champion{replaced}"
        sys.stdout.write(f"{name}: version {number} {said}\n")

    return Command(PromoteOptions, run)
