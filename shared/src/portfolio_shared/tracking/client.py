"""A quiet MLflow client that says within seconds when its server is away, and leaves no global state behind."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from portfolio_shared.addresses import shown
from portfolio_shared.proxies import (
    NetworkSettingsError,
    answered_by,
    describe_failure,
    is_of_proxy,
    mlflow_credentials,
    no_proxy,
    open_client,
    proxy_for,
    require_usable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow reads its options from the environment at the time of each call. What the user has set wins.
_ENVIRONMENT = {
    # With the defaults a server that is away is reported after minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    # A training prints what it found, not where MLflow put it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    # No usage data to third parties.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A parameter that is too long is an error, not a shorter parameter.
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    # The requirements of a model are given, not those of whatever project the command was started in.
    "MLFLOW_UV_AUTO_DETECT": "false",
}


class TrackingUnavailable(RuntimeError):  # noqa: N818 (a state of the world, not a mistake)
    """No MLflow server answers at the tracking URI; the message says what to do."""


@contextmanager
def tracking_client(tracking_uri: str) -> Iterator["MlflowClient"]:
    """Give a client of the server at `tracking_uri` for the length of a ``with`` block.

    Folders and databases are refused: services follow the registry over HTTP.

    Raises
    ------
    TrackingUnavailable
        If no MLflow server answers there within seconds.
    """
    check_server(tracking_uri)
    with quiet_mlflow(tracking_uri):
        from mlflow import MlflowClient

        yield MlflowClient(tracking_uri=tracking_uri)


@contextmanager
def quiet_mlflow(*servers: str) -> Iterator[None]:
    """Keep MLflow from printing, warning about itself and waiting for minutes, for the length of a ``with`` block.

    Nor does it ask servers of this machine, which are those here and all that have an address of the loopback, through
    a proxy.
    """
    set_before = dict(os.environ)
    changed = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ} | no_proxy(*servers)
    mlflow_logger = logging.getLogger("mlflow")
    level = mlflow_logger.level
    os.environ.update(changed)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"mlflow\.")
            import mlflow  # noqa: F401 (sets the level of its logger when it is imported first)

            mlflow_logger.setLevel(logging.WARNING)
            yield
    finally:
        mlflow_logger.setLevel(level)
        for name in changed:
            os.environ.pop(name, None)
            os.environ.update({name: set_before[name]} if name in set_before else {})


def check_server(tracking_uri: str) -> None:
    """Raise `TrackingUnavailable` unless an MLflow server answers at `tracking_uri`."""
    advice = "start one with `make mlflow`, or set MLFLOW_TRACKING_URI to one that runs"
    server = shown(tracking_uri)
    if not tracking_uri.startswith(("http://", "https://")):
        raise TrackingUnavailable(f"tracking URI {server!r}: expected http://host:port of a server; {advice}")
    try:
        if (proxy := proxy_for(tracking_uri)) is not None:
            require_usable(proxy, socksio="socksio", socks="PySocks")  # the second is for MLflow's own requests
        timeout = httpx.Timeout(10.0, connect=3.0)
        with open_client(tracking_uri.rstrip("/"), timeout=timeout, auth=mlflow_credentials()) as client:
            response = client.get("/api/2.0/mlflow/experiments/search", params={"max_results": 1})
    except NetworkSettingsError as error:
        raise TrackingUnavailable(f"{server} cannot be asked: {error}") from error
    except httpx.HTTPError as error:
        failure = describe_failure(tracking_uri, error)
        raise TrackingUnavailable(f"no MLflow server at {server} ({failure}); {advice}") from error
    if not response.is_success or not response.text.startswith("{"):
        answer = (tracking_uri, response.status_code, response.text[:200])
        reasons = "401: MLFLOW_TRACKING_USERNAME and its password, 403: its --allowed-hosts"
        way = f", which is no MLflow server that lets us in ({reasons}); {advice}"
        raise TrackingUnavailable(
            f"{answered_by(*answer)} answered {answer[1]} {answer[2]!r}{'' if is_of_proxy(*answer) else way}"
        )
