"""Every setting: its default, its flag, its help and the parameter that is logged are one line here.

Flags come from the field names (`--if-missing`), environment variables from the prefix
(`RECOMMENDER_TRAIN_SEED`, `RECOMMENDER_PORT`).
"""

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, CliPositionalArg, SettingsConfigDict

from portfolio_shared.config import (
    TUNE_OUTPUT,
    Frozen,
    ReportSettings,
    TrainSettings,
    command_settings,
    stored_settings,
)
from portfolio_shared.serving.settings import ServiceSettings

MODEL_NAME = "recommender"
TUNED = "tuned.json"
DATA = "auto, sample, full, or the path of a folder or archive of MovieLens or MovieTweetings"
BUNDLE = Path(".state/bundles/recommender")

MAX_USERS = 10_000
MAX_HISTORY = 500  # films

SplitName = Literal["time", "random"]
"""Which split the hyper-parameters are for: each user's last ratings, or random ones."""

EngineName = Literal["duckdb", "spark"]
SPARK_COMMAND = "what runs Python with PySpark; empty: the environment of the checkout"

DATASET = "which public data auto and full mean: latest-small, 100k, 1m, 25m or 32m"
DatasetName = Literal["latest-small", "100k", "1m", "25m", "32m"]


class EaseSettings(Frozen):
    """EASE with genres and years of the films, in factor form (`models/ease.py`)."""

    penalty: float = Field(300.0, gt=0, description="more of it trusts rare coincidences less")
    genre_weight: float = Field(2.0, ge=0, description="how much a common genre counts; 0 for none")
    year_weight: float = Field(2.0, ge=0, description="how much a common period counts; 0 for none")
    length_exponent: float = Field(0.15, ge=0, le=1, description="how much less a long history counts in the fit")
    min_raters: int = Field(5, ge=1, description="films that fewer users rated do not enter the fit")
    rank: int | None = Field(256, ge=1, description="directions that are kept; null for all")


class HistorySettings(Frozen):
    """How a history is weighed when films are scored (`models/history_weights.py`)."""

    half_life_share: float = Field(0.15, ge=0, description="half-life as a share of the history; 0: no recency")
    half_life_films: float = Field(3.0, gt=0, description="least half-life, in films")
    rating_slope: float = Field(0.3, ge=0, le=0.33, description="what a star above the middle adds to a film's weight")


class AlsSettings(Frozen):
    """Implicit matrix factorisation; names are those of the paper and of `implicit`."""

    n_factors: int = Field(128, ge=1)
    regularization: float = Field(10.0, gt=0)
    alpha: float = Field(1.0, gt=0, description="confidence in a rated film, against 1 for any other")
    iterations: int = Field(15, ge=1)


class BaselineSettings(Frozen):
    """The baselines' own settings."""

    user_neighbors: int = Field(40, ge=1)
    item_neighbors: int = Field(50, ge=1)
    ease_penalty: float = Field(200.0, gt=0, description="of EASE as published, without anything added")


class ModelSettings(Frozen):
    """Hyper-parameters of the models; `tuned.json` holds the ones in use."""

    ease: EaseSettings = EaseSettings()
    history: HistorySettings = HistorySettings()
    als: AlsSettings = AlsSettings()
    baselines: BaselineSettings = BaselineSettings()
    most_ratings: int = Field(10_000_000, ge=1, description="above so many ratings EASE is not fitted and ALS serves")


def tuned_settings(split: SplitName = "time", path: Path | None = None) -> ModelSettings:
    """Return the hyper-parameters for a split that `recommender tune` wrote to a file, or the committed ones."""
    return stored_settings(ModelSettings, path or files("recommender").joinpath(TUNED), split)


class TrainConfig(TrainSettings):
    """Train, evaluate, register and pass the gate."""

    model_config = command_settings("RECOMMENDER_TRAIN_")

    data: str = Field("auto", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)
    output: Path = Field(BUNDLE, description="folder that the bundle is written to")
    tuned: Path | None = Field(None, description="file of a search on your data (`tune`); none: the package's settings")
    k: int = Field(10, ge=2, le=50, description="length of the lists that are measured")
    max_users: int = Field(MAX_USERS, ge=2, description="users that are evaluated; of more, so many are drawn")
    grid_seconds: float = Field(
        10.0,
        ge=0,
        description="CPU seconds to choose EASE's rank and penalty on validation; 0: as in the settings. They cover "
        "one decomposition and the trials, of which the last that began is finished. The attack on 300 histories that "
        "follows is not counted. A slower machine may try fewer, which is said and recorded",
    )
    threads: int = Field(1, ge=1, description="threads of ALS; with more than one a fit does not repeat exactly")
    engine: EngineName | None = Field(
        None,
        description="what sums the ratings of a folder that `etl` wrote, where they are more than memory holds: EASE "
        "and popularity are fitted then, and max_users people loaded; none: all ratings are read into memory",
    )
    memory_limit: str = Field("1GB", description="memory of that engine; what needs more goes to temporary files")
    spark_command: str = Field("", description=SPARK_COMMAND)


class EtlConfig(BaseSettings):
    """Write the data as clean tables of Parquet, by SQL; what is unchanged is not written again."""

    model_config = command_settings("RECOMMENDER_ETL_") | SettingsConfigDict(cli_shortcuts={"output": "o"})

    source: CliPositionalArg[str] = Field("auto", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)
    output: Path = Field(Path(".state/etl/recommender"), description="folder to write")
    engine: EngineName = Field("duckdb", description="what runs the SQL")
    memory_limit: str = Field("2GB", description="how much memory the engine may take")
    temp: Path | None = Field(None, description="folder for what does not fit into it; none: beside the output")
    most_unreadable: float = Field(0.001, ge=0, le=1, description="share of the rows that may be no ratings")
    spark_command: str = Field("", description=SPARK_COMMAND)


class TuneConfig(BaseSettings):
    """Search hyper-parameters on the validation part."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)
    split: SplitName = Field("time", description="time: each user's last ratings are hidden; random: random ones")
    trials: int = Field(40, ge=2, description="trials of each candidate, those of earlier runs counted")
    k: int = Field(10, ge=2, le=50, description="length of the lists that are measured")
    seed: int = Field(0, ge=0, description="seed of the sampler, fits and random splits")
    study: Path = Field(Path(".state/tuning/recommender.db"), description="SQLite file in which studies go on")
    write: bool = Field(default=True, description="write the settings that the search ends with")
    output: Path | None = Field(None, description=TUNE_OUTPUT)
    tracking_uri: str = Field("", description="MLflow server for the trials; empty for none")


class ReportConfig(ReportSettings):
    """Train and rewrite the documents' tables and figures; with data sample, the sections on the sample alone."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    dataset: DatasetName = Field("latest-small", description=DATASET)
    project: Path = Field(Path("projects/recommender"), description="folder of the project's README and docs")


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="RECOMMENDER_")

    port: int = Field(8002, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
    rollout: Literal["off", "shadow", "canary", "interleave"] = Field(  # type: ignore[assignment]
        "off",
        description="what becomes of the challenger: nothing, an answer beside each (shadow), a share of the answers "
        "(canary), films of its own in each list (interleave)",
    )
    max_history: int = Field(MAX_HISTORY, ge=1, description="films in a history; above it 422")
    max_k: int = Field(100, ge=1, description="recommendations in an answer; above it 422")
    max_histories: int = Field(1000, ge=1, description="histories in a batch; above it 422")
    max_batch: int = Field(20_000, ge=1, description="recommendations in a batch, histories times k; above it 422")
    max_query: int = Field(100, ge=1, description="characters of a search; above it 422")
