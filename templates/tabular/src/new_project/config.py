"""Every setting: its default, its flag, its help and the parameter that is logged are one line here.

Flags come from the field names (`--if-missing`), environment variables from the prefix
(`NEW_PROJECT_TRAIN_SEED`, `NEW_PROJECT_PORT`).
"""

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

MODEL_NAME = "new-project"
ITEMS = "rows"
DATA = "auto, sample and full: the table that ships; or the path of another with its headings"
BUNDLE = Path(".state/bundles/new-project")
REQUIREMENTS = ("numpy", "pydantic", "pydantic-settings")
"""Distributions that a model under MLflow needs."""
TARGET_FORM = "TARGET_DIGITS"
"""How amounts of the target are written."""
COVERAGE = 0.9
"""Share of the intervals, or sets of classes, that are to hold what comes true."""
TEST_FRACTION, FOLDS = 0.2, 5
CONSTANTS = {
    "coverage": f"{COVERAGE:.0%}".replace("%", " %"),
    "test_share": f"{TEST_FRACTION:.0%}".replace("%", " %"),
    "folds": str(FOLDS),
}
"""What prose names of the numbers above."""


class ModelSettings(Frozen):
    """Hyper-parameters of the ridge and of CatBoost's symmetric trees, whose names are the library's."""

    ridge: float = Field(3.0, gt=0, description="penalty on the squared coefficients of standardized columns")
    iterations: int = Field(1000, ge=1, description="most trees; rows that are held out say how many are best")
    learning_rate: float = Field(0.06, gt=0)
    depth: int = Field(6, ge=1, le=8)
    l2_leaf_reg: float = Field(3.0, ge=0)


GRID = {"learning_rate": (0.03, 0.06), "depth": (4, 6), "l2_leaf_reg": (1.0, 6.0)}
"""What `tune` tries: every combination."""


def tuned_settings(path: Path | None = None) -> ModelSettings:
    """Return the hyper-parameters that `new-project tune` wrote to a file, or the defaults."""
    return ModelSettings() if path is None else stored_settings(ModelSettings, path)


class TrainConfig(TrainSettings):
    """Train, evaluate, register and pass the gate."""

    model_config = command_settings("NEW_PROJECT_TRAIN_")

    data: str = Field("auto", description=DATA)
    output: Path = Field(BUNDLE, description="folder that the bundle is written to")
    tuned: Path | None = Field(None, description="file of a search on your data (`tune`); none: the defaults")


class TuneConfig(BaseSettings):
    """Search hyper-parameters inside the training part."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    write: bool = Field(default=True, description="write the settings that the search ends with")
    output: Path | None = Field(None, description=TUNE_OUTPUT)
    seed: int = Field(0, ge=0, description="seed of the fits")


class ReportConfig(ReportSettings):
    """Train on the table and rewrite the documents' tables and figures."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    project: Path = Field(Path("projects/new-project"), description="folder of the project's README and docs")


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="NEW_PROJECT_")

    port: int = Field(8999, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
