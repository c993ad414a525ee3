"""The command line: data, train, tune, evaluate, predict, serve, monitor, retrain, forget, rollback, report.

Each command's flags are the fields of its settings class, so a default, its environment variable and its help are one
line. Heavy libraries are imported by the command that needs them.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict

from housing.config import BUNDLE, DATA, MODEL_NAME, ReportConfig, ServeSettings, TrainConfig, TuneConfig
from portfolio_shared import cli as shared
from portfolio_shared.config import FOLLOW, DataOptions, EvaluateOptions
from portfolio_shared.operations import commands
from portfolio_shared.terminal import Command

if TYPE_CHECKING:
    from housing.models.predictor import Predictor


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


@shared.flags_alone
class Predict(BaseSettings):
    """Price the houses of a table or a stream, in constant memory; exit with 1 if houses were refused."""

    model_config = TrainConfig.model_config | SettingsConfigDict(cli_shortcuts={"output": "o"})
    houses: CliPositionalArg[Path | None] = Field(None, description="table with a heading of API fields or the data's")
    output: Path = Field(Path("prices.csv"), description="file to write")
    explain: bool = Field(default=False, description="add what each group of fields adds to the average price")
    follow: bool = Field(default=False, description=FOLLOW)
    bundle: Path = Field(BUNDLE, description="folder of the model")


def data(options: Data) -> None:
    from housing.data.load import load

    dataset = load(options.data)
    shared.show_data(dataset)
    if options.tables is not None:
        import pyarrow as pa

        from portfolio_shared.data.stored import store_table

        store_table(options.tables, "sales", pa.Table.from_pandas(dataset.sales.frame, preserve_index=False), dataset)


def train(config: TrainConfig) -> None:
    def sample_sha256() -> str | None:
        from housing.data.load import is_sample, load

        return load("sample").sha256 if is_sample(config.data) else None

    if config.if_missing and shared.champion_stays(MODEL_NAME, config.tracking_uri, sample_sha256=sample_sha256):
        return
    from housing.train import train

    train(config)


def tune(config: TuneConfig) -> None:
    from housing.tune import tune

    tune(config)


def evaluate(options: Evaluate) -> None:
    from rich.console import Console

    from housing.evaluation.evaluate import evaluate_bundle

    evaluate_bundle(options.bundle, options.data, Console(markup=False))


def predict(options: Predict) -> None:
    from housing.models.predictor import Predictor
    from portfolio_shared.serving.batch import announce_model, refuse_contradictions

    refuse_contradictions(options.houses, follow=options.follow, given=options.model_fields_set)
    announce_model(options.bundle, MODEL_NAME)
    predictor = Predictor.load(options.bundle)
    if options.follow:
        from housing.data.house import House
        from housing.serving.app import price
        from portfolio_shared.serving.follow import follow

        alone = partial(price, predictor, explain=options.explain, path="")
        follow(options.houses, House, lambda house: alone([house])[0], what="houses priced")
    elif options.houses is not None:
        predict_table(options, options.houses, predictor)


def predict_table(options: Predict, houses: Path, predictor: "Predictor") -> None:
    from rich.console import Console

    from housing.serving.batch import predict_file

    note = partial(Console(stderr=True, markup=False, highlight=False).print, soft_wrap=True)
    with shared.counting("pricing", "houses") as advance:
        result = predict_file(houses, options.output, predictor, explain=options.explain, note=note, advance=advance)
    if result.repaired:
        note(f"{options.output}: {result.repaired:,} houses were put right before (column repaired)")
    shared.end_batch(options.output, done=result.done, refused=result.refused, what="houses priced")


def report(config: ReportConfig) -> None:
    from housing.report import report

    report(config)


COMMANDS: dict[str, Command] = {
    "data": Command(Data, data),
    "train": Command(TrainConfig, train),
    "tune": Command(TuneConfig, tune),
    "evaluate": Command(Evaluate, evaluate),
    "predict": Command(Predict, predict),
    "serve": shared.serve_command("housing.serving.app:create_app", ServeSettings),
    "monitor": shared.monitor_command(MODEL_NAME, "housing.serving.observe:WATCH", ServeSettings),
    "retrain": commands.retrain_command(MODEL_NAME, "housing", TrainConfig, ServeSettings),
    "compare": commands.compare_command(MODEL_NAME, "housing.serving.observe:WATCH", ServeSettings),
    "promote": commands.promote_command(MODEL_NAME, TrainConfig),
    "forget": shared.forget_command(ServeSettings),
    "key": shared.key_command(ServeSettings),
    "rollback": shared.rollback_command(MODEL_NAME, TrainConfig),
    "report": Command(ReportConfig, report),
}


def main() -> None:
    """Run the command that the first argument names."""
    shared.run_project("housing", COMMANDS)
