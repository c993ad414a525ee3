"""Start a module of this package where there is PySpark, which no other environment has."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import portfolio_shared
import recommender
from recommender.data.etl.engine import EngineError

ENVIRONMENT = Path(".state/spark/bin/python")
"""Of a checkout: `make .state/spark/installed.lock` makes it."""
COMMAND = (
    "what runs Python with PySpark and this package, such as python, or spark-submit with its flags; empty for "
    f"{ENVIRONMENT}"
)


def has_spark() -> bool:
    """Return whether this process can be a driver of Spark itself."""
    return find_spec("pyspark") is not None


def run_on_spark(module: str, *arguments: str, command: str = "") -> None:
    """Run a module of this package with PySpark, and wait for its end.

    Parameters
    ----------
    module
        Its name, such as ``recommender.data.etl.job``.
    command
        See `COMMAND`: it is followed by ``-m``, the module and the arguments, or under `spark-submit` by the module's
        file and the arguments.

    Raises
    ------
    EngineError
        If there is no environment, or the job fails; what it said went to standard error.
    """
    words = shlex.split(command)
    environment = dict(os.environ)
    if not words:
        if not ENVIRONMENT.is_file():
            raise EngineError(
                f"Spark has an environment of its own, and {ENVIRONMENT} is not there: "
                "`make .state/spark/installed.lock` makes it; or name a command that runs Python with PySpark"
            )
        words = [str(ENVIRONMENT)]
        sources = [str(Path(package.__path__[0]).parent) for package in (recommender, portfolio_shared)]
        environment["PYTHONPATH"] = os.pathsep.join([*sources, environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    line = [*words, *target(words, module), *arguments]
    try:
        status = subprocess.run(line, env=environment, check=False).returncode  # noqa: S603 - the user's own command
    except OSError as error:
        raise EngineError(f"{shlex.join(words)} cannot be started: {error}") from error
    if status:
        raise EngineError(f"{shlex.join(line)} ended with status {status}: see above")


def target(words: Sequence[str], module: str) -> list[str]:
    """Return how a command is told what to run: `spark-submit` takes files alone."""
    if Path(words[0]).name != "spark-submit":
        return ["-m", module]
    found = find_spec(module)
    return [str(found.origin)] if found and found.origin else ["-m", module]
