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
ITEMS = "pictures"
DATA = "auto, sample or full (what ships), or the path of a folder with a folder of pictures for each label"
BUNDLE = Path(".state/bundles/new-project")
REQUIREMENTS = ("numpy", "onnxruntime", "pillow", "pydantic", "pydantic-settings")
"""Distributions that a model under MLflow needs."""

SIDE = 224
"""Side of the square that the model sees, in pixels."""
COVERAGE, UNFAMILIAR = 0.9, 0.05
"""Share of pictures whose label set holds the right label, and of pictures of the labels that are called unfamiliar."""
TEST_SHARE, VALIDATION_SHARE = 0.25, 0.25
"""The second is of what the test leaves: few pictures are enough to learn from, and thresholds need many."""
CONSTANTS = {
    name: f"{share:.0%}".replace("%", " %")
    for name, share in {"coverage": COVERAGE, "unfamiliar": UNFAMILIAR, "test_share": TEST_SHARE, "level": 0.95}.items()
}
"""What the documents name of the code."""
GRID: dict[str, list[float]] = {"strength": [0.01, 0.03, 0.1, 0.3, 1.0]}
"""Values that `tune` tries."""


class ModelSettings(Frozen):
    """Hyper-parameters of the models."""

    strength: float = Field(0.1, gt=0, description="inverse strength of the penalty of the logistic regression")
    most_kept: int = Field(1_000, ge=1, description="training pictures that are kept to measure the distance to")


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
    seed: int = Field(0, ge=0, description="seed of the bootstrap and of what is drawn")
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
    max_pixels: int = Field(16_000_000, ge=256, description="width x height of a picture; above it 413")
    max_body_bytes: int = Field(14_000_000, gt=0, description="largest request body; above it 413")
