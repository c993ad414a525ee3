"""The command line: data, train, evaluate, predict, serve, rollback, ablation, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict

from image_classifier.config import (
    BUNDLE,
    DATA,
    MODEL_NAME,
    AblationConfig,
    ReportConfig,
    ServeSettings,
    TrainConfig,
)
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
    """Classify files and folders of pictures, in constant memory."""

    model_config = FLAGS | SettingsConfigDict(cli_shortcuts={"output": "o"})
    pictures: CliPositionalArg[list[Path]] = Field(description="pictures, and folders of pictures")
    output: Path = Field(Path("labels.csv"), description="file to write")
    bundle: Path = Field(BUNDLE, description="folder of the model")


class RollbackOptions(BaseSettings):
    """Give the alias back to the champion before this one."""

    model_config = FLAGS
    tracking_uri: str = Field(default_factory=default_tracking_uri, description="MLflow server")


def show_data(arguments: list[str]) -> None:
    """Find or download the data, and report what is in them."""
    from rich.console import Console

    from image_classifier.data.load import load_photos

    photos = load_photos(CliApp.run(DataOptions, cli_args=arguments).data)
    Console().print(photos.source.reason, photos.report.as_table(), sep="\n")


def train(arguments: list[str]) -> None:
    """Train, evaluate, register and pass the gate."""
    config = CliApp.run(TrainConfig, cli_args=arguments)
    if config.if_missing and champion_stays(MODEL_NAME, config.tracking_uri, real_data=lambda: real_data(config)):
        return
    from image_classifier.train import train

    train(config)


def real_data(config: TrainConfig) -> bool:
    """Return whether the settings lead to other pictures than the drawn sample."""
    from image_classifier.models.plan import choose_source

    return choose_source(config).source.kind != "sample"


def evaluate(arguments: list[str]) -> None:
    """Evaluate a bundle on the frozen test split."""
    options = CliApp.run(EvaluateOptions, cli_args=arguments)
    from image_classifier.report import evaluate_bundle

    evaluate_bundle(options.bundle, options.data)


def ablation(arguments: list[str]) -> None:
    """Measure what each part of the training buys, with a stated budget."""
    config = CliApp.run(AblationConfig, cli_args=arguments)
    from image_classifier.evaluation.ablation import ablation

    ablation(config)


def report(arguments: list[str]) -> None:
    """Train on the public data and rewrite the READMEs' tables and figures."""
    config = CliApp.run(ReportConfig, cli_args=arguments)
    from image_classifier.report import report

    report(config)


def predict(arguments: list[str]) -> None:
    """Classify files and folders of pictures, in constant memory; exit with 1 if files were refused."""
    options = CliApp.run(PredictOptions, cli_args=arguments)
    from image_classifier.models.predictor import Predictor
    from image_classifier.serving.batch import predict_files
    from portfolio_shared.bundle import read_manifest

    read_manifest(options.bundle, project=MODEL_NAME)
    with counting("classifying", "pictures") as advance:
        result = predict_files(options.pictures, options.output, Predictor.load(options.bundle), advance=advance)
    end_batch(options.output, done=result.classified, refused=result.refused, what="pictures classified")


def serve(arguments: list[str]) -> None:
    """Serve the champion over HTTP."""
    from portfolio_shared.serving.server import serve

    settings = CliApp.run(ServeSettings, cli_args=arguments)
    serve("image_classifier.serving.app:create_app", ServeSettings, **settings.model_dump())


def rollback(arguments: list[str]) -> None:
    """Give the alias back to the champion before this one."""
    roll_back(MODEL_NAME, CliApp.run(RollbackOptions, cli_args=arguments).tracking_uri)


COMMANDS: dict[str, Command] = {
    "data": show_data,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "serve": serve,
    "rollback": rollback,
    "ablation": ablation,
    "report": report,
}


def main() -> None:
    """Run the command that the first argument names."""
    settings = (TrainConfig, AblationConfig, ReportConfig, DataOptions, EvaluateOptions, RollbackOptions)
    run_project("image-classifier", COMMANDS, settings)
