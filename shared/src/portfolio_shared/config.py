"""What every project's `config.py` declares alike; nothing heavy is imported, because services read it too."""

import os

from pydantic import BaseModel, ConfigDict
from pydantic_settings import SettingsConfigDict


class Frozen(BaseModel):
    """Hyper-parameters do not change, and a misspelt one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def command_settings(prefix: str) -> SettingsConfigDict:
    """Return how the settings of a command are read: flags in kebab case, environment variables with `prefix`."""
    return SettingsConfigDict(
        env_prefix=prefix, extra="forbid", frozen=True, cli_kebab_case=True, cli_implicit_flags=True
    )


def default_tracking_uri() -> str:
    """Return the MLflow server that MLFLOW_TRACKING_URI names, or the one that `make up` starts."""
    return os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5500")
