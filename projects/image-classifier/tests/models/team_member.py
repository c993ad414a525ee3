"""What a process does that `test_distributed.py` starts."""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from image_classifier import cli
from image_classifier.models import finetune
from image_classifier.models.checkpoint import save_checkpoint
from image_classifier.models.distributed import ALONE, Team, joined
from image_classifier.models.job import Order


def fine_tune(case: dict[str, str], team: Team = ALONE) -> None:
    """Fine-tune as an order says, from a random head, and write the weights and losses."""
    classifier, job = Order.from_json(case["order"]).build(team)
    history = finetune.fine_tune(classifier.to(getattr(torch, case["dtype"])), job)
    if team.leads:
        losses = [[epoch.training_loss, epoch.validation_loss] for epoch in history]
        save_checkpoint(Path(case["output"]), classifier.state_dict(), {"losses": losses})


def die_in(step: int) -> None:
    """Kill this process when it has made so many steps."""
    steps, average = [], finetune._average

    def watched(*arguments: object) -> None:
        average(*arguments)
        steps.append(None)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    finetune._average = watched


def main() -> None:
    """Fine-tune what the file that the first argument names lists; or run the command, and die at a step in it."""
    if sys.argv[1].endswith(".json"):
        with joined() as team:
            for case in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
                fine_tune(case, team)
        return
    rank, step = sys.argv.pop(1).split(":")
    if os.environ["RANK"] == rank:
        die_in(int(step))
    cli.main()


if __name__ == "__main__":
    main()
