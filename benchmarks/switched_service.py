"""Run a project's command with a prediction log that one signal turns off and another on, and a writer with a name."""

import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

from portfolio_shared.serving.middleware import ServiceMiddleware
from portfolio_shared.serving.prediction_log import PredictionLog

OFF, ON = signal.SIGUSR1, signal.SIGUSR2
WRITER = "log-writer"  # what the thread is called in /proc


class Switch:
    """What stands in the middleware's place of a prediction log: the log, or none while it is off."""

    on = True

    def __get__(self, owner: ServiceMiddleware, _: type) -> PredictionLog | None:
        return owner.__dict__["switched"] if self.on else None

    def __set__(self, owner: ServiceMiddleware, log: PredictionLog) -> None:
        owner.__dict__["switched"] = log

    def turn(self, number: int, _: object) -> None:
        """Take a signal."""
        self.on = number == ON


def main() -> None:
    """Run `PROJECT ARGUMENTS...`."""
    _, project, *_ = sys.argv
    switch, write = Switch(), PredictionLog._run  # noqa: SLF001 - no setting of a service turns its log off meanwhile
    for number in (OFF, ON):
        signal.signal(number, switch.turn)
    ServiceMiddleware._log = switch  # type: ignore[assignment]  # noqa: SLF001

    def named(self: PredictionLog) -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(WRITER, encoding="ascii")
        write(self)

    PredictionLog._run = named  # type: ignore[method-assign]  # noqa: SLF001
    sys.argv = sys.argv[1:]
    import_module(f"{project.replace('-', '_')}.cli").main()


if __name__ == "__main__":
    main()
