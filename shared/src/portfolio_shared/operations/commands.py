"""The commands that change which model serves, as far as the projects' are alike."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import Field

from portfolio_shared.cli import PREDICTION_LOG, log_of
from portfolio_shared.config import TrainSettings
from portfolio_shared.serving.settings import ServiceSettings
from portfolio_shared.terminal import Command


def retrain_command(name: str, project: str, train: type[TrainSettings], service: type[ServiceSettings]) -> Command:
    """Return the command that trains with what feedback teaches as well.

    Parameters
    ----------
    project
        The project's package, whose `train` has its `PROJECT` and whose `serving.observe` its `WATCH`.
    train, service
        Settings of a training, and those that say where the predictions are, unless a flag does.
    """

    class RetrainOptions(train):  # type: ignore[valid-type, misc]
        """Train with feedback as well; exit with 1 if refused, 2 for too little, 3 on an error, 4 if one runs."""

        output: Path = Field(Path(".state/retrain", name, "bundle"), description="folder that the bundle is written to")
        if_missing: Literal[False] = Field(default=False, description="of train alone")
        why: Literal["schedule", "drift", "hand"] = Field("hand", description="what starts it, for the record")
        promote: bool = Field(default=False, description="a model that passes replaces the champion without a person")
        anyway: bool = Field(default=False, description="train with however little feedback")
        prediction_log: str | None = Field(None, description=PREDICTION_LOG)

    def run(options: RetrainOptions) -> None:
        from portfolio_shared.operations.retrain import Plan, retrain

        plan = Plan(
            watch=import_module(f"{project}.serving.observe").WATCH,
            log=log_of(options.prediction_log, service()),
            why=options.why,
            may_promote=options.promote,
            anyway=options.anyway,
            state=Path(".state/retrain"),
        )
        sys.exit(retrain(import_module(f"{project}.train").PROJECT, options, plan))

    return Command(RetrainOptions, run, error=3)
