"""Every setting: its default, its flag, its help and the parameter that is logged are one line here.

Flags come from the field names (`--if-missing`), environment variables from the prefix
(`HOUSING_TRAIN_SEED`, `HOUSING_PORT`).
"""

from importlib.resources import files
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from portfolio_shared.config import (
    TUNE_OUTPUT,
    Frozen,
    ReportSettings,
    TrainSettings,
    command_settings,
    stored_settings,
)
from portfolio_shared.serving.settings import ServiceSettings

MODEL_NAME = "housing"
COVERAGE = 0.9
TUNED = "tuned.json"
DATA = "auto, sample, full, or the path of a file in the published layout"
BUNDLE = Path(".state/bundles/housing")


class LinearSettings(Frozen):
    """The Huber ridge of `models/linear.py`."""

    ridge: float = Field(10.0, gt=0, description="penalty on the squared coefficients")
    exception_ridge: float = Field(0.3, gt=0, description="penalty on the level of large, partly built houses")
    hinge_weight: float = Field(0.7, gt=0, description="scale of hinges against the other columns")
    knots: int = Field(5, ge=0, description="hinges a number, at quantiles; 0 for none")
    slopes: bool = Field(default=True, description="each neighborhood has its own slopes in size and quality")
    clip_low: float = Field(0.001, ge=0, lt=0.5, description="quantile below which a number is clipped")
    clip_high: float = Field(0.99, gt=0.5, le=1, description="quantile above which a number is clipped")
    huber: float = Field(1.7, gt=0, description="robust standard deviations beyond which a residual counts linearly")
    iterations: int = Field(5, ge=1, description="reweighted fits")
    rare: int = Field(4, ge=1, description="codes of fewer training houses get no column")


class EncodingSettings(Frozen):
    """The tables of `models/encoding.py`."""

    folds: int = Field(5, ge=2, description="folds of the cross-fitted statistics")
    smoothing: float = Field(10.0, gt=0, description="houses' worth of the overall mean in a cell's mean")
    rare: int = Field(8, ge=1, description="codes of fewer training houses get no column")


class TreeSettings(Frozen):
    """CatBoost's symmetric trees; names are the library's."""

    iterations: int = Field(1500, ge=1)
    learning_rate: float = Field(0.035, gt=0)
    depth: int = Field(5, ge=1, le=8)
    rsm: float = Field(0.1, gt=0, le=1, description="share of features that a split may choose from")
    l2_leaf_reg: float = Field(1.0, ge=0)
    border_count: int = Field(48, ge=1)
    seeds: int = Field(2, ge=1, description="ensembles whose mean is the member: less chance in it")


class ScaleSettings(Frozen):
    """The trees that predict the scale of a price's error."""

    iterations: int = Field(150, ge=1)
    learning_rate: float = Field(0.05, gt=0)
    depth: int = Field(4, ge=1, le=8)
    rsm: float = Field(0.3, gt=0, le=1)
    l2_leaf_reg: float = Field(10.0, ge=0)
    floor: float = Field(0.02, gt=0, description="added to absolute log errors before their logarithm is fitted")
    bands: int = Field(5, ge=1, description="bands of the price paid, each with its own calibration")
    excess: float = Field(
        0.01,
        ge=0,
        lt=0.1,
        description="coverage of an interval beyond that of its bands' scores; chosen on the Ames training part, "
        "other data may need another",
    )


class ModelSettings(Frozen):
    """Hyper-parameters of the served model; those of `linear`, `trees` and the weight are tuned (`tuned.json`)."""

    linear: LinearSettings = LinearSettings()
    encoding: EncodingSettings = EncodingSettings()
    trees: TreeSettings = TreeSettings()
    scale: ScaleSettings = ScaleSettings()
    linear_weight: float = Field(0.55, ge=0, le=1, description="share of the linear member in the log price")


def tuned_settings(path: Path | None = None) -> ModelSettings:
    """Return the hyper-parameters that `housing tune` wrote to a file, or the committed ones."""
    return stored_settings(ModelSettings, path or files("housing").joinpath(TUNED))


class TrainConfig(TrainSettings):
    """Train, evaluate, register and pass the gate."""

    model_config = command_settings("HOUSING_TRAIN_")

    data: str = Field("auto", description=DATA)
    output: Path = Field(BUNDLE, description="folder that the bundle is written to")
    tuned: Path | None = Field(None, description="file of a search on your data (`tune`); none: the package's settings")
    folds: int = Field(5, ge=2, description="folds of the cross-validation that compares candidates")
    threads: int = Field(2, ge=1, description="threads of the tree libraries")
    refit: bool = Field(default=False, description="after the evaluation, fit what is served to the test houses too")


class TuneConfig(BaseSettings):
    """Search hyper-parameters inside the training part; goes on where it stopped."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    tracking_uri: str = Field("", description="MLflow server that gets a run a trial; empty for none")
    write: bool = Field(default=True, description="write the settings that the search ends with")
    output: Path | None = Field(None, description=TUNE_OUTPUT)
    trials: int = Field(60, ge=1, description="trials in all, those of earlier runs counted")
    study: Path = Field(Path(".state/tuning/housing.db"), description="SQLite file of the study")
    seed: int = Field(0, ge=0, description="seed of the sampler")
    threads: int = Field(2, ge=1, description="threads of the tree library")


class ReportConfig(ReportSettings):
    """Train on the public data and rewrite the READMEs' tables and figures."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    project: Path = Field(Path("projects/housing"), description="folder of the project's README and docs")
    threads: int = Field(2, ge=1, description="threads of the tree library")


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="HOUSING_")

    port: int = Field(8001, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
    max_body_bytes: int = Field(4_000_000, gt=0, description="largest request body: 1,000 full records are 1.7 MB")
