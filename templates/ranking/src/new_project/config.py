"""Every setting: its default, its flag, its help and the parameter that is logged are one line here."""

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
ITEMS = "histories"
DATA = (
    "auto, sample or full (what ships), or the path of a CSV file with user and item, and perhaps title, rating, time"
)
BUNDLE = Path(".state/bundles/new-project")
REQUIREMENTS = ("numpy", "pydantic", "pydantic-settings")
"""Distributions that a model under MLflow needs."""

K = 10
"""Length of the lists that are measured."""
TEST_SHARE, MIN_HISTORY = 0.2, 5
"""Share of each user's events that is the test, and how many must be left to learn from where a user is tested."""
CONSTANTS = {"k": str(K), "test_share": f"{TEST_SHARE:.0%}".replace("%", " %"), "level": "95 %"}
"""What the documents name of the code."""
GRID: dict[str, list[float]] = {"penalty": [50.0, 100.0, 200.0, 400.0, 800.0], "half_life": [2.0, 3.0, 6.0, 12.0]}
"""Values that `tune` tries."""


class ModelSettings(Frozen):
    """Hyper-parameters of the models."""

    penalty: float = Field(200.0, gt=0, description="EASE's: more of it trusts rare coincidences less")
    half_life: float = Field(3.0, gt=0, description="so many items ago an item of a history counts half")
    neighbors: int = Field(50, ge=1, description="items that each item of a history votes for, in item neighbors")
    min_users: int = Field(3, ge=2, description="items that fewer people chose are not learned")
    max_items: int = Field(2_000, ge=10, description="of more items the most chosen: the model is a square of them")


def tuned_settings(path: Path | None = None) -> ModelSettings:
    """Return the hyper-parameters in a file that `tune` wrote, or the defaults."""
    return ModelSettings() if path is None else stored_settings(ModelSettings, path)


class TrainConfig(TrainSettings):
    """Train, evaluate, register and pass the gate."""

    model_config = command_settings("NEW_PROJECT_TRAIN_")

    data: str = Field("auto", description=DATA)
    output: Path = Field(BUNDLE, description="folder that the bundle is written to")
    tuned: Path | None = Field(None, description="file of a search on your data (`tune`); none: the defaults")


class TuneConfig(BaseSettings):
    """Search hyper-parameters on the validation part."""

    model_config = TrainConfig.model_config

    data: str = Field("auto", description=DATA)
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    write: bool = Field(default=True, description="write the settings that the search ends with")
    output: Path | None = Field(None, description=TUNE_OUTPUT)


class ReportConfig(ReportSettings):
    """Train, and rewrite the README's tables and figures."""

    model_config = TrainConfig.model_config

    data: str = Field("full", description=DATA)
    project: Path = Field(Path("projects/new-project"), description="folder of the project's README and docs")


class ServeSettings(ServiceSettings):
    """Serve the champion."""

    model_config = SettingsConfigDict(env_prefix="NEW_PROJECT_")

    port: int = Field(8999, description="port to listen on")
    model_name: str = Field(MODEL_NAME, description="registered model to serve")
    max_history: int = Field(500, ge=1, description="items in a history; above it 422")
    max_k: int = Field(100, ge=1, description="recommendations in an answer; above it 422")
