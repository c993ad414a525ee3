"""The command line: data, train, tune, evaluate, predict, serve, monitor, retrain, forget, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from functools import partial
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict

from new_project.config import BUNDLE, DATA, ITEMS, MODEL_NAME, ReportConfig, ServeSettings, TrainConfig, TuneConfig
from portfolio_shared import cli as shared
from portfolio_shared.config import FOLLOW, DataOptions, EvaluateOptions
from portfolio_shared.operations import commands
from portfolio_shared.terminal import Command

WATCH = "new_project.serving.observe:WATCH"


class Data(DataOptions):
    """Read the data, and report what is in them."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)


class Evaluate(EvaluateOptions):
    """Evaluate a bundle on the frozen test split."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)
    bundle: Path = Field(BUNDLE, description="folder of the model")


@shared.flags_alone
class Predict(BaseSettings):
    """Predict for a file or a stream, in constant memory; exit with 1 if something was refused."""

    model_config = TrainConfig.model_config | SettingsConfigDict(cli_shortcuts={"output": "o"})
    inputs: CliPositionalArg[Path | None] = Field(None, description="file of what to predict for; --follow: JSON lines")
    output: Path = Field(Path("predictions.csv"), description="file to write")
    follow: bool = Field(default=False, description=FOLLOW)
    bundle: Path = Field(BUNDLE, description="folder of the model")


def data(options: Data) -> None:
    from new_project.data.load import load

    shared.show_data(load(options.data))


def train(config: TrainConfig) -> None:
    def sample_sha256() -> str | None:
        from new_project.data.load import is_sample, load

        return load("sample").sha256 if is_sample(config.data) else None

    if config.if_missing and shared.champion_stays(MODEL_NAME, config.tracking_uri, sample_sha256=sample_sha256):
        return
    from new_project.train import train

    train(config)


def tune(config: TuneConfig) -> None:
    from new_project.tune import tune

    tune(config)


def evaluate(options: Evaluate) -> None:
    from rich.console import Console

    from new_project.evaluation.evaluate import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, Console(markup=False))


def predict(options: Predict) -> None:
    from rich.console import Console

    from new_project.models.predictor import Predictor
    from portfolio_shared.serving.batch import announce_model, refuse_contradictions

    refuse_contradictions(options.inputs, follow=options.follow, given=options.model_fields_set)
    announce_model(options.bundle, MODEL_NAME)
    predictor = Predictor.load(options.bundle)
    if options.follow:
        from new_project.serving.app import answer_one
        from new_project.serving.schemas import Item
        from portfolio_shared.serving.follow import follow

        follow(options.inputs, Item, partial(answer_one, predictor), what=f"{ITEMS} answered")
    elif options.inputs is not None:
        from new_project.serving.batch import predict_file

        note = partial(Console(stderr=True, markup=False, highlight=False).print, soft_wrap=True)
        with shared.counting("predicting", ITEMS) as advance:
            result = predict_file(options.inputs, options.output, predictor, note=note, advance=advance)
        shared.end_batch(options.output, done=result.done, refused=result.refused, what=f"{ITEMS} answered")


def report(config: ReportConfig) -> None:
    from new_project.report import report

    report(config)


COMMANDS: dict[str, Command] = {
    "data": Command(Data, data),
    "train": Command(TrainConfig, train),
    "tune": Command(TuneConfig, tune),
    "evaluate": Command(Evaluate, evaluate),
    "predict": Command(Predict, predict),
    "serve": shared.serve_command("new_project.serving.app:create_app", ServeSettings),
    "monitor": shared.monitor_command(MODEL_NAME, WATCH, ServeSettings),
    "retrain": commands.retrain_command(MODEL_NAME, "new_project", TrainConfig, ServeSettings),
    "compare": commands.compare_command(MODEL_NAME, WATCH, ServeSettings),
    "promote": commands.promote_command(MODEL_NAME, TrainConfig),
    "forget": shared.forget_command(ServeSettings),
    "key": shared.key_command(ServeSettings),
    "rollback": shared.rollback_command(MODEL_NAME, TrainConfig),
    "report": Command(ReportConfig, report),
}


def main() -> None:
    """Run the command that the first argument names."""
    shared.run_project("new-project", COMMANDS)
