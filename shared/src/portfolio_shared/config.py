"""What every project's `config.py` declares alike; nothing heavy is imported, because services read it too."""

import json
import os
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

M = TypeVar("M", bound=BaseModel)

TUNE_OUTPUT = "file to write; none: the package's settings after a search on the public data, else one beside the study"

FOLLOW = "answer JSON lines of the file or of standard input, each at once, on standard output"


class Frozen(BaseModel):
    """Hyper-parameters do not change, and a misspelt one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def command_settings(prefix: str) -> SettingsConfigDict:
    """Return how the settings of a command are read: flags in kebab case, environment variables with `prefix`."""
    return SettingsConfigDict(
        env_prefix=prefix, extra="forbid", frozen=True, cli_kebab_case=True, cli_implicit_flags=True
    )


def stored_settings(model: type[M], path: Path | Traversable, *parts: str) -> M:
    """Return the hyper-parameters in a file that `tune` wrote.

    Parameters
    ----------
    parts
        Keys that lead to the study, where a file has several.

    Raises
    ------
    ValueError
        If the file holds no such settings.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        for part in parts:
            stored = stored[part]
        return model.model_validate(stored["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a file that `tune` wrote, found {error!r}") from error


def default_tracking_uri() -> str:
    """Return the MLflow server that MLFLOW_TRACKING_URI names, or the one that `make up` starts."""
    return os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5500")


class TrainSettings(BaseSettings):
    """Train, evaluate, register and pass the gate.

    A project adds its prefix (`model_config = command_settings("HOUSING_TRAIN_")`), what its data setting and its
    output are, and the settings that it alone has.
    """

    data: str = Field("auto", description="auto, sample, full, or a path")
    tracking_uri: str = Field(
        default_factory=default_tracking_uri, description="MLflow server; empty to train without one"
    )
    output: Path = Field(description="folder that the bundle is written to")
    if_missing: bool = Field(default=False, description="do nothing if the registry has a champion already")
    seed: int = Field(0, ge=0, description="seed of fits, draws and bootstrap")


class ReportSettings(BaseSettings):
    """Train on the public data and rewrite the READMEs' tables and figures."""

    data: str = Field("full", description="auto, sample, full, or a path")
    project: Path = Field(description="folder of the project's README and docs")
    benchmarks: Path = Field(Path("benchmarks/results"), description="folder of what the benchmarks measured")
    root_readme: Path = Field(Path("README.md"), description="the README with the table of results")
    seed: int = Field(0, ge=0, description="seed of fits, draws and bootstrap")
    refill: bool = Field(default=False, description="fill documents from docs/report.json, without a training")


class DataOptions(BaseSettings):
    """Find or download the data, and report what is in them."""

    data: str = Field("auto", description="auto, sample, full, or a path")


class EvaluateOptions(DataOptions):
    """Evaluate a bundle on the frozen test split."""

    bundle: Path = Field(description="folder of the model")
