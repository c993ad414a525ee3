"""Deletes from a prediction log what a drill's people asked and said, as `forget --subject` does it of one.

A drill runs this text where the log is, in a container for example: `python -c TEXT PACKAGE NAME...`.
"""

import importlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing

from portfolio_shared.operations.window import open_log
from portfolio_shared.serving.prediction_log import WRITE_SECONDS, hashed_subject


def forget(names: Sequence[str], key: str, log: str) -> int:
    """Return how many predictions went, after the service has written its last."""
    subjects = [hashed_subject(name.encode(), key) for name in names]
    time.sleep(2 * WRITE_SECONDS)
    with closing(open_log(log)) as store:
        return sum(store.forget(subject=subject)[0] for subject in subjects)


if __name__ == "__main__":
    settings = importlib.import_module(f"{sys.argv[1]}.config").ServeSettings()
    secret = settings.subject_key.get_secret_value()
    if not secret:
        raise SystemExit("expected the subject key of the service: set SUBJECT_KEY")
    print(forget(sys.argv[2:], secret, os.environ["PORTFOLIO_PREDICTION_LOG"]))
