"""The models on the frozen test split of the photographs: pixels, probe, fine-tuned, each with its interval.

A training that `make train-image-classifier` has finished is taken up from its checkpoint.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from record import RESULTS, Limit, check_limits, finish
from rich.console import Console

from image_classifier.config import TrainConfig
from image_classifier.data.photos import labels_of
from image_classifier.evaluation.evaluate import measure
from image_classifier.evaluation.plain import by_pixels
from image_classifier.train import Trained, learn
from portfolio_shared.evaluation.sections import interval_cell
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.evaluation.uncertainty import Interval

AT_LEAST = {
    "linear probe, accuracy": 0.9,
    "served, accuracy": 0.925,
    "served, set coverage": 0.93,
    "the same, 1,000 redraws": 0.93,
    "out-of-distribution unsure": 0.8,
}
AT_MOST = {
    "served, calibration error": 0.03,
    "served, set coverage, upper": 0.97,
    "the same, 1,000 redraws, upper": 0.97,
    "flowers unsure": 0.05,
}


def main() -> int:
    """Measure, print, write; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="as of train (default: %(default)s)")
    parser.add_argument("--weights", default="shipped", help="as of train (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "image-classifier.json", help="file to write (default: %(default)s)"
    )
    options = parser.parse_args()
    trained = learn(TrainConfig(data=options.data, weights=options.weights, tracking_uri=""), Console())
    rows = [
        row("logistic regression on 32 x 32 pixels", measure(labels_of(trained.split.test), by_pixels(trained.split))),
        *(row(name, metrics) for name, metrics in trained.baselines.items()),
        row(f"{trained.chosen}, as served", trained.evaluation.metrics),
    ]
    limits = check(trained)
    n_test = len(trained.split.test)
    recorded = {"data": trained.data.name, "test_pictures": n_test, "rows": rows, "limits": limits}
    cells = [[row["name"], interval_cell(row["accuracy"]), interval_cell(row["log_loss"])] for row in rows]
    title = f"{n_test} test pictures of {trained.data.name}, 95 % bootstrap intervals"
    console = Console()
    console.print(terminal_table(title, ["model", "accuracy", "log loss"], cells))
    return finish(console, options.output, recorded, limits)


def row(name: str, metrics: Mapping[str, Interval]) -> dict[str, Any]:
    """Return a line of the table."""
    return {"name": name, **{metric: value._asdict() for metric, value in metrics.items()}}


def check(trained: Trained) -> list[Limit]:
    """Compare what was measured with what was asked for."""
    metrics = {name: interval.estimate for name, interval in trained.evaluation.metrics.items()}
    redrawn = trained.evaluation.redrawn_coverage.estimate
    probe = trained.baselines.get("linear probe", trained.evaluation.metrics)["accuracy"]
    measured = {
        "linear probe, accuracy": probe.estimate,
        "served, accuracy": metrics["accuracy"],
        "served, calibration error": metrics["calibration_error"],
        "served, set coverage": metrics["set_coverage"],
        "served, set coverage, upper": metrics["set_coverage"],
        "the same, 1,000 redraws": redrawn,
        "the same, 1,000 redraws, upper": redrawn,
        "out-of-distribution unsure": metrics["unsure_out_of_distribution"],
        "flowers unsure": metrics["unsure"],
    }
    return check_limits(measured, AT_LEAST, least=True) + check_limits(measured, AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
