"""The command line: data, train, tune, evaluate, predict, serve, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, PydanticBaseSettingsSource, SettingsConfigDict

from portfolio_shared.environment import UnknownVariableError, refuse_unknown_variables
from portfolio_shared.serving.registry_client import champion_of
from portfolio_shared.terminal import Command, run_command
from recommender.config import (
    DATA,
    DATASET,
    MODEL_NAME,
    Dataset,
    ReportConfig,
    ServeSettings,
    TrainConfig,
    TuneConfig,
    default_tracking_uri,
)

FLAGS = SettingsConfigDict(
    env_prefix="RECOMMENDER_TRAIN_", extra="forbid", frozen=True, cli_kebab_case=True, cli_implicit_flags=True
)
BUNDLE = Path(".state/bundles/recommender")


class DataOptions(BaseSettings):
    """Find or download the data, and report what is in them."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)
    dataset: Dataset = Field("latest-small", description=DATASET)


class EvaluateOptions(BaseSettings):
    """Evaluate a bundle on the frozen test."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)
    dataset: Dataset = Field("latest-small", description=DATASET)
    bundle: Path = Field(BUNDLE, description="folder of the model")


class PredictOptions(BaseSettings):
    """Recommend for the histories of a CSV file, in constant memory."""

    model_config = SettingsConfigDict(**FLAGS, cli_shortcuts={"output": "o"})
    histories: CliPositionalArg[Path] = Field(description='CSV file with a column history, such as "318 296:4.5"')
    output: Path = Field(Path("recommendations.csv"), description="file to write")
    bundle: Path = Field(BUNDLE, description="folder of the model")
    k: int = Field(10, ge=1, description="films for each history")
    max_history: int = Field(500, ge=1, description="films in a history; rows with more are refused")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the flags alone: where lists go is a matter of one call, not of the environment."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class RollbackOptions(BaseSettings):
    """Give the alias back to the champion before this one."""

    model_config = FLAGS
    tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")


def show_data(arguments: list[str]) -> None:
    """Find or download the data, and report what is in them."""
    from rich.console import Console

    from recommender.loading import load_movielens

    options = CliApp.run(DataOptions, cli_args=arguments)
    data = load_movielens(options.data, dataset=options.dataset)
    Console().print(data.source.reason, data.movielens.report.as_table(), sep="\n")


def train(arguments: list[str]) -> None:
    """Train, evaluate, register and pass the gate."""
    config = CliApp.run(TrainConfig, cli_args=arguments)
    if config.if_missing and config.tracking_uri and (champion := champion_of(MODEL_NAME, config.tracking_uri)):
        if champion.data_source != "sample" or config.data == "sample" or not real_data(config.data, config.dataset):
            sys.stdout.write(f"{MODEL_NAME}: version {champion.version} is champion ({champion.data_source} data)\n")
            return
        sys.stdout.write(f"{MODEL_NAME}: the champion learned from generated data, and now there are real ones\n")
    from recommender.train import train

    train(config)


def real_data(setting: str, dataset: Dataset) -> bool:
    """Return whether the data setting leads to other data than the generated sample."""
    from recommender.datasets import resolve_dataset

    return resolve_dataset(setting, dataset=dataset).kind != "sample"


def tune(arguments: list[str]) -> None:
    """Search hyper-parameters on the validation part."""
    config = CliApp.run(TuneConfig, cli_args=arguments)
    from recommender.tune import tune

    tune(config)


def evaluate(arguments: list[str]) -> None:
    """Evaluate a bundle on the frozen test."""
    options = CliApp.run(EvaluateOptions, cli_args=arguments)
    from recommender.report import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, dataset=options.dataset)


def report(arguments: list[str]) -> None:
    """Train on the public data and rewrite the READMEs' tables and figures."""
    config = CliApp.run(ReportConfig, cli_args=arguments)
    from recommender.report import report

    report(config)


def predict(arguments: list[str]) -> None:
    """Recommend for the histories of a CSV file, in constant memory; exit with 1 if rows were refused."""
    options = CliApp.run(PredictOptions, cli_args=arguments)
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from portfolio_shared.bundle import read_manifest
    from recommender.batch import predict_file
    from recommender.model import Predictor

    read_manifest(options.bundle, project=MODEL_NAME)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} histories"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("recommending", total=None)
        result = predict_file(
            options.histories,
            options.output,
            Predictor.load(options.bundle),
            k=options.k,
            max_history=options.max_history,
            advance=lambda n: progress.advance(task, n),
        )
    console.print(
        f"{options.output}: {result.answered:,} histories answered, {result.refused:,} refused (column error)"
    )
    if result.refused:
        sys.exit(1)


def serve(arguments: list[str]) -> None:
    """Serve the champion over HTTP."""
    from portfolio_shared.serving.server import serve

    serve("recommender.serve:create_app", ServeSettings, **CliApp.run(ServeSettings, cli_args=arguments).model_dump())


def rollback(arguments: list[str]) -> None:
    """Give the alias back to the champion before this one."""
    options = CliApp.run(RollbackOptions, cli_args=arguments)
    from rich.console import Console

    from portfolio_shared.tracking.registry import rollback

    version = rollback(MODEL_NAME, tracking_uri=options.tracking_uri)
    Console().print(f"{MODEL_NAME}: version {version.version} is champion again ({version.data_source} data)")


COMMANDS: dict[str, Command] = {
    "data": show_data,
    "train": train,
    "tune": tune,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "rollback": rollback,
    "report": report,
}


def main() -> None:
    """Run the command that the first argument names."""
    try:
        options = (TrainConfig, TuneConfig, ReportConfig, DataOptions, EvaluateOptions, RollbackOptions)
        refuse_unknown_variables("RECOMMENDER_TRAIN_", {field for kind in options for field in kind.model_fields})
    except UnknownVariableError as error:
        sys.exit(f"recommender: {error}")
    run_command("recommender", COMMANDS, sys.argv[1:])
