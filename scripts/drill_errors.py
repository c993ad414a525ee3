"""Prints what feedback showed of each answer in a prediction log, in the order of the answers, as one line of JSON.

A drill runs this text where the log is, in a container for example: `python -c TEXT PACKAGE`.
"""

import importlib
import json
import os
import sys
import time
from contextlib import closing
from typing import Any

from portfolio_shared.operations.watch import Watch
from portfolio_shared.operations.window import open_log


def errors_of(watch: Watch, log: str) -> dict[str, Any]:
    """Return label, direction and points (time, version, value): losses, or else the first measure."""
    name, first = next(iter(watch.measures.items()))
    by_loss = bool(watch.loss_label)
    points = []
    with closing(open_log(log)) as store:
        for prediction, given in store.feedback(watch.model, since=0.0, until=time.time() + 1):
            truth = watch.truth.model_validate_json(given.truth)
            if by_loss:
                value = watch.loss(prediction, given.item, truth)
            else:
                value = watch.measure(prediction, given.item, truth).get(name)
            if value is not None:
                points.append((prediction.at, prediction.version, value))
    label, better = (watch.loss_label, "lower") if by_loss else (first.label, first.better)
    return {"label": label, "better": better, "points": sorted(points)}


if __name__ == "__main__":
    observed = importlib.import_module(f"{sys.argv[1]}.serving.observe").WATCH
    print(json.dumps(errors_of(observed, os.environ["PORTFOLIO_PREDICTION_LOG"])))
