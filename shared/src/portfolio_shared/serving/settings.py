"""Settings of a service: defaults that work on a laptop, overridden by environment variables with a prefix."""

import os
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from portfolio_shared.config import default_tracking_uri
from portfolio_shared.environment import refuse_unknown_variables, without_invented_port


class RolloutError(RuntimeError):
    """A rollout that lacks what it needs; no ValueError, of which pydantic would show all settings, and secrets."""


def default_start_page() -> str:
    """Return the start page that PORTFOLIO_START_PAGE names for all services, or nothing."""
    return os.environ.get("PORTFOLIO_START_PAGE", "")


def default_prediction_log() -> str:
    """Return the prediction log that PORTFOLIO_PREDICTION_LOG names for all services, or a file of SQLite."""
    return os.environ.get("PORTFOLIO_PREDICTION_LOG") or "sqlite:///.state/predictions.db"


class ServiceSettings(BaseSettings):
    """Everything about a running service that may differ between two places.

    A project subclasses this once, to give its prefix, its port and the name of its model::

        class HousingSettings(ServiceSettings):
            model_config = SettingsConfigDict(env_prefix="HOUSING_")
            port: int = 8001
            model_name: str = "housing"

    Then ``HOUSING_PORT=9000`` in the environment overrides the default. A variable with the prefix that is no
    field is refused with the nearest valid name, because a misspelt limit that is silently ignored is found too late.
    Variables that start with ``<prefix>TRAIN_`` belong to the training configuration and are ignored here. An empty
    variable counts as unset: compose files pass those.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        allow_inf_nan=False,
        cli_kebab_case=True,
        cli_implicit_flags=True,
    )

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 inside a container")
    port: int = Field(description="TCP port to listen on; 0 picks a free one")
    tracking_uri: str = Field(
        default_factory=default_tracking_uri, pattern=r"^https?://", description="address of the MLflow server"
    )
    model_name: str = Field(min_length=1, description="name of the model in the registry")
    model_alias: str = Field(default="champion", min_length=1, description="alias whose version is served")
    rollout: Literal["off", "shadow", "canary"] = Field(
        default="off",
        description="what the challenger does: nothing, answer for the log alone (shadow), answer some (canary)",
    )
    canary_share: float = Field(default=0.1, gt=0, lt=1, description="share of the subjects that a canary answers")
    model_poll_seconds: float = Field(default=10.0, gt=0, description="seconds between two looks at the alias")
    model_cache: Path = Field(default=Path(".state/models"), description="folder of downloaded models")
    bundle: Path | None = Field(default=None, description="serve this model folder and ignore the registry")
    bundle_key: str = Field(
        default="",
        description="public key (Ed25519, base64) of who signs bundles: others are refused; empty: all serve",
    )
    model_megabytes: float = Field(default=200.0, gt=0, description="memory that a bundle's files may unpack to")
    start_page: str = Field(
        default_factory=default_start_page,
        pattern=r"^(https?://[^/]+)?$",
        description="where this service asks for the links to the other demos; without one its page has none",
    )
    prediction_log: str = Field(
        default_factory=default_prediction_log,
        pattern=r"^(off|sqlite:///.+|postgresql://.+)$",
        description="where predictions and feedback are kept: sqlite:///PATH, postgresql://..., or off",
    )
    log_days: float = Field(default=30.0, gt=0, description="days after which a logged prediction is deleted")
    log_megabytes: float = Field(default=500.0, gt=0, description="size above which the oldest are deleted")
    subject_key: SecretStr = Field(
        default=SecretStr(""),
        description="key of the hash that is kept of the header X-Subject; empty: none is",
    )
    trace_uri: str = Field(
        default="",
        pattern=r"^(https?://.+)?$",
        description="where traces are sent, as OTLP over HTTP, such as MLflow's /v1/traces; without one none are made",
    )
    trace_headers: dict[str, SecretStr] = Field(
        default={}, description="headers that go with them, as JSON; MLflow's experiment is found by its name"
    )
    api_keys: SecretStr = Field(
        default=SecretStr(""), description="keys of those who may ask, as NAME:SHA256 with commas; `key NAME` makes one"
    )
    api_key_file: Path | None = Field(
        default=None, description="file of such keys, one a line; it is read again when it changes"
    )
    open_without_keys: bool = Field(
        default=False, description="answer other machines without keys; else a service beyond the loopback needs some"
    )
    allowed_hosts: str = Field(
        default="",
        pattern=r"^(\s*(\[[0-9A-Fa-f:.]+\]|[^/:,\s\[\]]*)\s*(,|$))*$",
        description="names it answers to beside those of the loopback, with commas; none: on others any name will do",
    )
    rate_limit: float | None = Field(
        default=None,
        ge=0,
        description="requests a second a key or address; above it 429; none: 100 beyond the loopback with keys; 0: any",
    )
    trusted_proxies: str = Field(
        default="", description="proxies whose X-Forwarded-For is believed: addresses or networks, with commas"
    )
    max_body_bytes: int = Field(default=1_000_000, gt=0, description="largest request body; above it 413")
    max_total_body_bytes: int = Field(
        default=64_000_000, gt=0, description="bytes of all bodies at a time; above it the slowest client gets 503"
    )
    max_header_bytes: int = Field(default=32_000, ge=1000, description="largest head of a request; above it 431")
    max_connections: int = Field(default=1000, gt=0, description="connections at a time; above it 503")
    max_connections_per_client: int = Field(
        default=1000, gt=0, description="those of one address; behind a proxy all clients have the proxy's"
    )
    client_timeout_seconds: float = Field(
        default=10.0, gt=0, description="longest that a client may be silent; above it 408, or it is cut off"
    )
    max_concurrent_requests: int = Field(default=256, gt=0, description="predictions at a time; above it 429")
    workers: int = Field(default=1, gt=0, description="processes that answer on the port; several need Linux")
    worker_threads: int = Field(default=2, gt=0, description="threads that compute predictions")
    request_timeout_seconds: float = Field(default=10.0, gt=0, description="longest computation; above it 503")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe log level that is written"
    )

    # A validator and not Field(ge=..., le=...): a project declares the field again, and would lose those.
    @field_validator("port")
    @classmethod
    def _check_port(cls, port: int) -> int:
        if not 0 <= port <= 65535:
            raise ValueError("Input should be a TCP port, 0 to 65535")
        return port

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            with suppress(ValueError):
                if ip_network(part).prefixlen:
                    continue
            raise ValueError("Input should be addresses or networks; not all, or clients would choose their own")
        return text

    @field_validator("bundle_key")
    @classmethod
    def _check_bundle_key(cls, text: str) -> str:
        from portfolio_shared.signatures import public_keys  # not above: see the next one

        public_keys(text)
        return text

    @field_validator("tracking_uri", "trace_uri")
    @classmethod
    def _check_address(cls, uri: str) -> str:
        import httpx  # not above: a model that MLflow runs has this module and no httpx

        try:
            httpx.URL(uri)
        except httpx.InvalidURL:  # its message holds a part of the address, which may be one of the password
            raise ValueError("Input should be an address; a password's special characters as %-codes") from None
        return uri

    @model_validator(mode="after")
    def _check_rollout(self) -> Self:
        prefix, how = self.model_config["env_prefix"], f"the rollout {self.rollout!r}"
        if self.rollout == "shadow" and self.prediction_log == "off":
            raise RolloutError(f"{how} writes to the prediction log: set {prefix}PREDICTION_LOG to its address")
        if self.rollout != "off" and self.bundle is not None:
            raise RolloutError(f"{how} takes the challenger from the registry: unset {prefix}BUNDLE")
        return self

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, values: Any) -> Any:
        prefix = cls.model_config["env_prefix"]
        if not prefix:
            raise TypeError(f"{cls.__name__} has no env_prefix: give it one, such as HOUSING_")
        refuse_unknown_variables(prefix, cls.model_fields, except_prefix=f"{prefix}TRAIN_")
        return without_invented_port(prefix, values)
