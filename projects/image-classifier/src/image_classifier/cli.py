"""The command line: data, train, tune, evaluate, predict, serve, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict

from image_classifier.config import BUNDLE, DATA, MODEL_NAME, ReportConfig, ServeSettings, TrainConfig, TuneConfig
from portfolio_shared import config as shared
from portfolio_shared.cli import (
    champion_stays,
    counting,
    end_batch,
    flags_alone,
    rollback_command,
    run_project,
    serve_command,
    show_data,
)
from portfolio_shared.terminal import Command

FLAGS = TrainConfig.model_config


class DataOptions(shared.DataOptions):
    """Find or download the data, and report what is in them."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)


class EvaluateOptions(shared.EvaluateOptions):
    """Evaluate a bundle on the frozen test split."""

    model_config = FLAGS
    data: str = Field("auto", description=DATA)
    bundle: Path = Field(BUNDLE, description="folder of the model")


@flags_alone
class PredictOptions(BaseSettings):
    """Classify files and folders of pictures, in constant memory; exit with 1 if files were refused."""

    model_config = FLAGS | SettingsConfigDict(cli_shortcuts={"output": "o"})
    pictures: CliPositionalArg[list[Path]] = Field(description="pictures, and folders of pictures")
    output: Path = Field(Path("labels.csv"), description="file to write")
    bundle: Path = Field(BUNDLE, description="folder of the model")


def data(options: DataOptions) -> None:
    """Find or download the data, and report what is in them."""
    from image_classifier.data.load import load

    show_data(load(options.data))


def train(config: TrainConfig) -> None:
    """Train, evaluate, register and pass the gate."""
    if config.if_missing and champion_stays(MODEL_NAME, config.tracking_uri, real_data=lambda: real_data(config)):
        return
    from image_classifier.train import train

    train(config)


def real_data(config: TrainConfig) -> bool:
    """Return whether the settings lead to other pictures than the drawn sample."""
    from image_classifier.data.load import is_sample
    from image_classifier.models.plan import plan

    return not is_sample(plan(config).source)


def tune(config: TuneConfig) -> None:
    """Measure what each part of the training buys, with a stated budget."""
    from image_classifier.tune import tune

    tune(config)


def evaluate(options: EvaluateOptions) -> None:
    """Evaluate a bundle on the frozen test split."""
    from rich.console import Console

    from image_classifier.evaluation.evaluate import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, Console())


def predict(options: PredictOptions) -> None:
    """Classify files and folders of pictures."""
    from image_classifier.models.predictor import Predictor
    from image_classifier.serving.batch import predict_file
    from portfolio_shared.bundle import read_manifest

    read_manifest(options.bundle, project=MODEL_NAME)
    with counting("classifying", "pictures") as advance:
        result = predict_file(options.pictures, options.output, Predictor.load(options.bundle), advance=advance)
    end_batch(options.output, done=result.done, refused=result.refused, what="pictures classified")


def report(config: ReportConfig) -> None:
    """Train on the public data and rewrite the READMEs' tables and figures."""
    from image_classifier.report import report

    report(config)


COMMANDS: dict[str, Command] = {
    "data": Command(DataOptions, data),
    "train": Command(TrainConfig, train),
    "tune": Command(TuneConfig, tune),
    "evaluate": Command(EvaluateOptions, evaluate),
    "predict": Command(PredictOptions, predict),
    "serve": serve_command("image_classifier.serving.app:create_app", ServeSettings),
    "rollback": rollback_command(MODEL_NAME, TrainConfig),
    "report": Command(ReportConfig, report),
}


def main() -> None:
    """Run the command that the first argument names."""
    run_project("image-classifier", COMMANDS)
