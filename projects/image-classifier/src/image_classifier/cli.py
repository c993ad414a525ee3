"""The command line: data, train, tune, evaluate, predict, serve, monitor, retrain, forget, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

import json
import os
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, CliSettingsSource, SettingsConfigDict

from image_classifier.config import BUNDLE, DATA, MODEL_NAME, ReportConfig, ServeSettings, TrainConfig, TuneConfig
from portfolio_shared import cli as shared
from portfolio_shared.config import FOLLOW, DataOptions, EvaluateOptions
from portfolio_shared.operations import commands
from portfolio_shared.terminal import Command

if TYPE_CHECKING:
    from image_classifier.models.predictor import Predictor


class Data(DataOptions):
    """Find or download the data, and report what is in them."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)
    tables: Path | None = Field(None, description="folder to store what was kept in, as Parquet; none: only the report")


class Evaluate(EvaluateOptions):
    """Evaluate a bundle on the frozen test split."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)
    bundle: Path = Field(BUNDLE, description="folder of the model")


class Predict(BaseSettings):
    """Classify files and folders of pictures, in constant memory; exit with 1 if files were refused."""

    model_config = TrainConfig.model_config | SettingsConfigDict(env_prefix="", cli_shortcuts={"output": "o"})
    pictures: CliPositionalArg[list[Path]] = Field([], description="pictures, and folders of pictures; not hidden ones")
    output: Path = Field(Path("labels.csv"), description="file to write")
    follow: bool = Field(default=False, description=FOLLOW)
    bundle: Path = Field(BUNDLE, description="folder of the model")
    threads: int = Field(0, ge=0, description="threads that read and classify; 0: one for each core, 8 at most")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: type[BaseSettings], **sources: Any
    ) -> tuple[Any, ...]:
        """Read flags and no environment: the files are a matter of one call."""
        flags = CliSettingsSource[Any](settings_cls, parse_args_method=_parsed, cli_exit_on_error=False)
        return flags, sources["init_settings"]


def _parsed(parser: ArgumentParser, words: list[str], namespace: Namespace | None = None) -> Namespace:
    """Parse arguments; names of files become one text of JSON, of which pydantic-settings makes the list.

    Of a list it would take each word for JSON if it looks like some, and part it at its commas.
    """
    parsed = parser.parse_args(words, namespace)
    if isinstance(parsed.pictures, list):
        parsed.pictures = json.dumps(parsed.pictures)
    return parsed


def data(options: Data) -> None:
    from image_classifier.data.load import load

    dataset = load(options.data)
    shared.show_data(dataset)
    if options.tables is not None:
        import pyarrow as pa

        from portfolio_shared.data.stored import store_table

        columns = {name: [getattr(photo, name) for photo in dataset.photos] for name in ("name", "key", "group")}
        columns["label"] = [dataset.labels[photo.label] for photo in dataset.photos]  # and no pixel
        store_table(options.tables, "photos", pa.table(columns), dataset)


def train(config: TrainConfig) -> None:
    def sample_sha256() -> str | None:
        from image_classifier.data.load import is_sample, load

        return load("sample").sha256 if is_sample(config.data) else None

    if config.if_missing and shared.champion_stays(MODEL_NAME, config.tracking_uri, sample_sha256=sample_sha256):
        return
    from image_classifier.train import train

    train(config)


def tune(config: TuneConfig) -> None:
    from image_classifier.tune import tune

    tune(config)


def evaluate(options: Evaluate) -> None:
    from rich.console import Console

    from image_classifier.evaluation.evaluate import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, Console(markup=False))


def predict(options: Predict) -> None:
    from image_classifier.models.predictor import Predictor
    from portfolio_shared.serving.batch import announce_model, refuse_contradictions

    source = next(iter(options.pictures), None)
    refuse_contradictions(source, follow=options.follow, given=options.model_fields_set)
    if options.follow and len(options.pictures) > 1:
        raise ValueError("--follow reads one file, of a JSON line for each picture")
    announce_model(options.bundle, MODEL_NAME)
    predictor = Predictor.load(options.bundle)
    if options.follow:
        from image_classifier.serving.app import classify_line
        from image_classifier.serving.schemas import PictureFile
        from portfolio_shared.serving.follow import follow

        follow(source, PictureFile, partial(classify_line, predictor=predictor), what="pictures classified")
    else:
        predict_files(options, predictor)


def predict_files(options: Predict, predictor: "Predictor") -> None:
    from image_classifier.serving.batch import predict_file

    with shared.counting("classifying", "pictures") as advance:
        result = predict_file(
            options.pictures, options.output, predictor, threads=options.threads or None, advance=advance
        )
    shared.end_batch(options.output, done=result.done, refused=result.refused, what="pictures classified")


def report(config: ReportConfig) -> None:
    from image_classifier.report import report

    report(config)


COMMANDS: dict[str, Command] = {
    "data": Command(Data, data),
    "train": Command(TrainConfig, train),
    "tune": Command(TuneConfig, tune),
    "evaluate": Command(Evaluate, evaluate),
    "predict": Command(Predict, predict),
    "serve": shared.serve_command("image_classifier.serving.app:create_app", ServeSettings),
    "monitor": shared.monitor_command(MODEL_NAME, "image_classifier.serving.observe:WATCH", ServeSettings),
    "retrain": commands.retrain_command(MODEL_NAME, "image_classifier", TrainConfig, ServeSettings),
    "compare": commands.compare_command(MODEL_NAME, "image_classifier.serving.observe:WATCH", ServeSettings),
    "promote": commands.promote_command(MODEL_NAME, TrainConfig),
    "forget": shared.forget_command(ServeSettings),
    "key": shared.key_command(ServeSettings),
    "rollback": shared.rollback_command(MODEL_NAME, TrainConfig),
    "report": Command(ReportConfig, report),
}


def main() -> None:
    """Run the command that the first argument names; of several processes of torchrun, in the first of them."""
    command = partial(shared.run_project, MODEL_NAME, COMMANDS)
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1":
        from image_classifier.models.helpers import run_in_team

        run_in_team(MODEL_NAME, command)
    else:
        command()
