"""The command line: data, train, tune, evaluate, predict, serve, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict

from portfolio_shared.cli import champion_stays, counting, end_batch, flags_alone, roll_back, run_project
from portfolio_shared.config import default_tracking_uri
from portfolio_shared.terminal import Command
from recommender.config import (
    BUNDLE,
    DATA,
    DATASET,
    MODEL_NAME,
    Dataset,
    ReportConfig,
    ServeSettings,
    TrainConfig,
    TuneConfig,
)

FLAGS = TrainConfig.model_config


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


@flags_alone
class PredictOptions(BaseSettings):
    """Recommend for the histories of a CSV file, in constant memory."""

    model_config = FLAGS | SettingsConfigDict(cli_shortcuts={"output": "o"})
    histories: CliPositionalArg[Path] = Field(description='CSV file with a column history, such as "318 296:4.5"')
    output: Path = Field(Path("recommendations.csv"), description="file to write")
    bundle: Path = Field(BUNDLE, description="folder of the model")
    k: int = Field(10, ge=1, description="films for each history")
    max_history: int = Field(500, ge=1, description="films in a history; rows with more are refused")


class RollbackOptions(BaseSettings):
    """Give the alias back to the champion before this one."""

    model_config = FLAGS
    tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")


def show_data(arguments: list[str]) -> None:
    """Find or download the data, and report what is in them."""
    from rich.console import Console

    from recommender.data.load import load_movielens

    options = CliApp.run(DataOptions, cli_args=arguments)
    data = load_movielens(options.data, dataset=options.dataset)
    Console().print(data.source.reason, data.movielens.report.as_table(), sep="\n")


def train(arguments: list[str]) -> None:
    """Train, evaluate, register and pass the gate."""
    config = CliApp.run(TrainConfig, cli_args=arguments)
    if config.if_missing and champion_stays(MODEL_NAME, config.tracking_uri, real_data=lambda: real_data(config)):
        return
    from recommender.train import train

    train(config)


def real_data(config: TrainConfig) -> bool:
    """Return whether the data setting leads to other data than the generated sample."""
    from recommender.data.source import resolve_dataset

    return resolve_dataset(config.data, dataset=config.dataset).kind != "sample"


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
    from portfolio_shared.bundle import read_manifest
    from recommender.models.predictor import Predictor
    from recommender.serving.batch import predict_file

    read_manifest(options.bundle, project=MODEL_NAME)
    with counting("recommending", "histories") as advance:
        result = predict_file(
            options.histories,
            options.output,
            Predictor.load(options.bundle),
            k=options.k,
            max_history=options.max_history,
            advance=advance,
        )
    end_batch(options.output, done=result.answered, refused=result.refused, what="histories answered")


def serve(arguments: list[str]) -> None:
    """Serve the champion over HTTP."""
    from portfolio_shared.serving.server import serve

    serve(
        "recommender.serving.app:create_app",
        ServeSettings,
        **CliApp.run(ServeSettings, cli_args=arguments).model_dump(),
    )


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
    run_project("recommender", COMMANDS, settings)
