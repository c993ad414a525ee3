"""The command line: data, train, tune, evaluate, predict, serve, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict

from housing.config import BUNDLE, DATA, MODEL_NAME, ReportConfig, ServeSettings, TrainConfig, TuneConfig
from portfolio_shared.cli import champion_stays, counting, end_batch, flags_alone, roll_back, run_project
from portfolio_shared.config import default_tracking_uri
from portfolio_shared.terminal import Command

FLAGS = TrainConfig.model_config


class DataOptions(BaseSettings):
    """Find or download the data, and report what is in them."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)


class EvaluateOptions(BaseSettings):
    """Evaluate a bundle on the frozen test split."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)
    bundle: Path = Field(BUNDLE, description="folder of the model")


@flags_alone
class PredictOptions(BaseSettings):
    """Price the houses of a CSV file, in constant memory."""

    model_config = FLAGS | SettingsConfigDict(cli_shortcuts={"output": "o"})
    houses: CliPositionalArg[Path] = Field(description="CSV file with a heading of API fields or of the data's own")
    output: Path = Field(Path("prices.csv"), description="file to write")
    bundle: Path = Field(BUNDLE, description="folder of the model")


class RollbackOptions(BaseSettings):
    """Give the alias back to the champion before this one."""

    model_config = FLAGS
    tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")


def show_data(arguments: list[str]) -> None:
    """Find or download the data, and report what is in them."""
    from rich.console import Console

    from housing.data.load import load_sales

    sales = load_sales(CliApp.run(DataOptions, cli_args=arguments).data)
    Console().print(sales.source.reason, sales.report.as_table(), sep="\n")


def train(arguments: list[str]) -> None:
    """Train, evaluate, register and pass the gate."""
    config = CliApp.run(TrainConfig, cli_args=arguments)
    if config.if_missing and champion_stays(MODEL_NAME, config.tracking_uri, real_data=lambda: real_data(config)):
        return
    from housing.train import train

    train(config)


def real_data(config: TrainConfig) -> bool:
    """Return whether the data setting leads to other data than the generated sample."""
    from housing.data.load import AMES
    from portfolio_shared.data.sources import resolve_source

    return resolve_source(config.data, AMES).kind != "sample"


def tune(arguments: list[str]) -> None:
    """Search hyper-parameters inside the training part."""
    config = CliApp.run(TuneConfig, cli_args=arguments)
    from housing.tune import tune

    tune(config)


def evaluate(arguments: list[str]) -> None:
    """Evaluate a bundle on the frozen test split."""
    options = CliApp.run(EvaluateOptions, cli_args=arguments)
    from housing.report import evaluate_bundle

    evaluate_bundle(options.bundle, options.data)


def report(arguments: list[str]) -> None:
    """Train on the public data and rewrite the READMEs' tables and figures."""
    config = CliApp.run(ReportConfig, cli_args=arguments)
    from housing.report import report

    report(config)


def predict(arguments: list[str]) -> None:
    """Price the houses of a CSV file, in constant memory; exit with 1 if rows were refused."""
    options = CliApp.run(PredictOptions, cli_args=arguments)
    from housing.models.storage import load
    from housing.serving.batch import predict_file
    from portfolio_shared.bundle import read_manifest

    read_manifest(options.bundle, project=MODEL_NAME)
    with counting("pricing", "houses") as advance:
        result = predict_file(options.houses, options.output, load(options.bundle), advance=advance)
    end_batch(options.output, done=result.priced, refused=result.refused, what="houses priced")


def serve(arguments: list[str]) -> None:
    """Serve the champion over HTTP."""
    from portfolio_shared.serving.server import serve

    serve("housing.serving.app:create_app", ServeSettings, **CliApp.run(ServeSettings, cli_args=arguments).model_dump())


def rollback(arguments: list[str]) -> None:
    """Give the alias back to the champion before this one."""
    roll_back(MODEL_NAME, CliApp.run(RollbackOptions, cli_args=arguments).tracking_uri)


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
    settings = (TrainConfig, TuneConfig, ReportConfig, DataOptions, EvaluateOptions, RollbackOptions)
    run_project("housing", COMMANDS, settings)
