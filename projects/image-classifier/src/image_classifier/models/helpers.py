"""What torchrun starts: the first process runs the command, the others help it with each fine-tuning."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

from image_classifier.models.distributed import LostProcessError, Team, end_in_peace, hand_out, handed_out, joined
from image_classifier.models.finetune import fine_tune
from image_classifier.models.job import Order

STOPPED = 128 + signal.SIGTERM
"""Exit status of a process that was told to stop."""


def run_in_team(program: str, command: Callable[[], None]) -> None:
    """Run the command in the first process of the team that torchrun has started, and help in the others.

    If a process ends before the others, each of these says so in a line and ends with an error.
    """
    with joined() as team:
        if team.leads:
            _lead(program, command, team)
        else:
            _help(program, team)


def _lead(program: str, command: Callable[[], None], team: Team) -> None:
    try:
        command()
    except SystemExit as end:
        end_in_peace()
        if end.code == STOPPED:  # by torchrun, between two collective calls
            sys.stderr.write(f"{program}: {team.farewell()}\n")
        raise
    finally:
        hand_out(None)


def _help(program: str, team: Team) -> None:
    """Fine-tune with the others what the first process hands out; nothing is printed or written but an error."""

    def stop(_: int, __: FrameType | None) -> None:
        raise LostProcessError(team.farewell())

    signal.signal(signal.SIGTERM, stop)
    try:
        for text in handed_out():
            classifier, job = Order.from_json(text).build(team)
            fine_tune(classifier, job)
    except (ValueError, RuntimeError, OSError) as error:
        end_in_peace()
        sys.exit(f"{program}: {error if isinstance(error, LostProcessError) else f'{team}: {error}'}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)  # the first process says it
