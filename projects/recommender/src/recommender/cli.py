"""The command line: data, train, evaluate, predict, serve, what keeps a model in use, and what large data need.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict

from portfolio_shared import cli as shared
from portfolio_shared.config import FOLLOW, DataOptions, EvaluateOptions
from portfolio_shared.operations import commands
from portfolio_shared.terminal import Command
from recommender.config import (
    BUNDLE,
    DATA,
    DATASET,
    MAX_HISTORY,
    MODEL_NAME,
    DatasetName,
    EtlConfig,
    ReportConfig,
    ServeSettings,
    TrainConfig,
    TuneConfig,
)

if TYPE_CHECKING:
    from recommender.models.predictor import Predictor


class Data(DataOptions):
    """Find or download the data, and report what is in them."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)


class Evaluate(EvaluateOptions):
    """Evaluate a bundle on the frozen test split."""

    model_config = TrainConfig.model_config
    data: str = Field("auto", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)
    bundle: Path = Field(BUNDLE, description="folder of the model")


@shared.flags_alone
class Predict(BaseSettings):
    """Recommend for the histories of a table or a stream, in constant memory; exit with 1 if some were refused."""

    model_config = TrainConfig.model_config | SettingsConfigDict(cli_shortcuts={"output": "o"})
    histories: CliPositionalArg[Path | None] = Field(
        None, description='table with a column history, such as "318 296:4.5"'
    )
    output: Path = Field(Path("recommendations.csv"), description="file to write")
    follow: bool = Field(default=False, description=FOLLOW)
    bundle: Path = Field(BUNDLE, description="folder of the model")
    k: int = Field(10, ge=1, description="films for each history; a line of a stream has its own k")
    max_history: int = Field(MAX_HISTORY, ge=1, description="films in a history; rows with more are refused")


@shared.flags_alone
class Generate(BaseSettings):
    """Draw ratings of any number in the format of MovieLens: to see what their number costs, not to recommend from."""

    model_config = TrainConfig.model_config | SettingsConfigDict(cli_shortcuts={"output": "o"})
    ratings: int = Field(1_000_000, ge=1, description="ratings to draw; about 140 are of one person")
    films: int = Field(60_000, ge=100, description="films to choose from")
    seed: int = Field(0, ge=0, description="the same seed draws the same ratings")
    output: Path = Field(Path(".data/generated"), description="folder to make, with ratings.csv and movies.csv")


def data(options: Data) -> None:
    from recommender.data.load import load

    shared.show_data(load(options.data, dataset=options.dataset))


def etl(config: EtlConfig) -> None:
    from recommender.data.etl.job import etl

    etl(config)


def train(config: TrainConfig) -> None:
    def sample_sha256() -> str | None:
        from recommender.data.load import is_sample, load

        return load("sample").sha256 if is_sample(config.data, dataset=config.dataset) else None

    if config.if_missing and shared.champion_stays(MODEL_NAME, config.tracking_uri, sample_sha256=sample_sha256):
        return
    from recommender.train import train

    train(config)


def tune(config: TuneConfig) -> None:
    from recommender.tune import tune

    tune(config)


def evaluate(options: Evaluate) -> None:
    from rich.console import Console

    from recommender.evaluation.evaluate import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, Console(markup=False), dataset=options.dataset)


def predict(options: Predict) -> None:
    from portfolio_shared.serving.batch import announce_model, refuse_contradictions
    from recommender.models.predictor import Predictor

    given = options.model_fields_set
    refuse_contradictions(options.histories, follow=options.follow, given=given)
    if options.follow and "k" in given:
        raise ValueError("--follow takes k from each line: leave out --k")
    announce_model(options.bundle, MODEL_NAME)
    predictor = Predictor.load(options.bundle)
    if options.follow:
        from portfolio_shared.serving.follow import follow
        from recommender.serving.app import result_for
        from recommender.serving.schemas import RecommendationRequest

        answer = partial(result_for, predictor, settings=ServeSettings(max_history=options.max_history))
        follow(options.histories, RecommendationRequest, answer, what="histories answered")
    elif options.histories is not None:
        predict_table(options, options.histories, predictor)


def predict_table(options: Predict, histories: Path, predictor: "Predictor") -> None:
    from recommender.serving.batch import predict_file

    limits = {"k": options.k, "max_history": options.max_history}
    with shared.counting("recommending", "histories") as advance:
        result = predict_file(histories, options.output, predictor, **limits, advance=advance)
    shared.end_batch(options.output, done=result.done, refused=result.refused, what="histories answered")


def report(config: ReportConfig) -> None:
    from recommender.report import report

    report(config)


def generate(options: Generate) -> None:
    from rich.console import Console

    from recommender.data.generate import generate

    with shared.counting("drawing", "ratings") as advance:
        folder = generate(
            options.output, ratings=options.ratings, films=options.films, seed=options.seed, advance=advance
        )
    Console(markup=False).print(f"{folder}: {options.ratings:,} ratings", soft_wrap=True)


COMMANDS: dict[str, Command] = {
    "data": Command(Data, data),
    "train": Command(TrainConfig, train),
    "tune": Command(TuneConfig, tune),
    "evaluate": Command(Evaluate, evaluate),
    "predict": Command(Predict, predict),
    "serve": shared.serve_command("recommender.serving.app:create_app", ServeSettings),
    "monitor": shared.monitor_command(MODEL_NAME, "recommender.serving.observe:WATCH", ServeSettings),
    "retrain": commands.retrain_command(MODEL_NAME, "recommender", TrainConfig, ServeSettings),
    "compare": commands.compare_command(MODEL_NAME, "recommender.serving.observe:WATCH", ServeSettings),
    "promote": commands.promote_command(MODEL_NAME, TrainConfig),
    "forget": shared.forget_command(ServeSettings),
    "key": shared.key_command(ServeSettings),
    "rollback": shared.rollback_command(MODEL_NAME, TrainConfig),
    "report": Command(ReportConfig, report),
    "etl": Command(EtlConfig, etl),
    "generate": Command(Generate, generate),
}


def main() -> None:
    """Run the command that the first argument names."""
    shared.run_project("recommender", COMMANDS)
