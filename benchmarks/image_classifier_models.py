"""The models on the frozen test split of the photographs: pixels, probe, fine-tuned, each with its interval.

A training that `make train-image-classifier` has finished is taken up from its checkpoint; seconds are those of the
training itself.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from image_classifier.config import TrainConfig
from image_classifier.data.photos import Photo, labels_of, pixels_of
from image_classifier.data.preprocessing import Preprocessing
from image_classifier.evaluation.evaluate import measure
from image_classifier.train import Trained, learn
from portfolio_shared.evaluation.sections import interval_cell
from portfolio_shared.evaluation.uncertainty import Interval

RESULT = Path(__file__).parent / "results" / "image-classifier.json"
SMALL = Preprocessing(32, 32)
LIMITS = {
    "linear probe, accuracy": ("at least", 0.935),
    "served, accuracy": ("at least", 0.955),
    "served, calibration error": ("at most", 0.03),
    "served, set coverage": ("at least", 0.93),
    "served, set coverage, upper": ("at most", 0.97),
    "the same, 1,000 redraws": ("at least", 0.93),
    "the same, 1,000 redraws, upper": ("at most", 0.97),
    "out-of-distribution unsure": ("at least", 0.90),
    "flowers unsure": ("at most", 0.05),
}


def main() -> int:
    """Measure, print, write; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="full", help="as of train (default: %(default)s)")
    parser.add_argument("--weights", default="imagenet", help="as of train (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="file to write (default: %(default)s)")
    options = parser.parse_args()
    trained = learn(TrainConfig(data=options.data, weights=options.weights, tracking_uri=""), Console())
    rows = [
        pixel_row(trained),
        *(row(name, metrics, trained) for name, metrics in trained.baselines.items()),
        row(trained.chosen, trained.evaluation.metrics, trained, served=True),
    ]
    measured: dict[str, Any] = {
        "data": trained.data.name,
        "test_pictures": len(trained.split.test),
        "rows": rows,
        "limits": check(trained),
    }
    options.output.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    show(measured)
    return 0 if all(limit["kept"] for limit in measured["limits"]) else 1


def pixel_row(trained: Trained) -> dict[str, Any]:
    """Fit a logistic regression on small pictures: what colours and their places tell."""
    begun = time.perf_counter()
    train, test = trained.split.train, trained.split.test
    fitted = LogisticRegression(C=0.001, max_iter=300).fit(tiny(train), labels_of(train))
    seconds = time.perf_counter() - begun
    metrics = measure(labels_of(test), fitted.predict_proba(tiny(test)))
    return line("logistic regression on 32 x 32 pixels", seconds, metrics)


def tiny(photos: tuple[Photo, ...]) -> NDArray[np.float64]:
    """Return pictures as rows of 3,072 numbers between 0 and 1."""
    return np.stack([pixels_of(photo, SMALL).ravel() / 255 for photo in photos])


def row(name: str, metrics: dict[str, Interval], trained: Trained, *, served: bool = False) -> dict[str, Any]:
    """Return a candidate's line of the table."""
    return line(f"{name}, as served" if served else name, trained.candidates[name].metrics["fit_seconds"], metrics)


def line(name: str, seconds: float, metrics: dict[str, Interval]) -> dict[str, Any]:
    """Return a line of the table."""
    return {"name": name, "fit_seconds": seconds, **{metric: value._asdict() for metric, value in metrics.items()}}


def check(trained: Trained) -> list[dict[str, Any]]:
    """Compare what was measured with what was asked for."""
    served = {name: interval.estimate for name, interval in trained.evaluation.metrics.items()}
    measured = {
        "linear probe, accuracy": trained.baselines["linear probe"]["accuracy"].estimate
        if "linear probe" in trained.baselines
        else served["accuracy"],
        "served, accuracy": served["accuracy"],
        "served, calibration error": served["calibration_error"],
        "served, set coverage": served["set_coverage"],
        "served, set coverage, upper": served["set_coverage"],
        "the same, 1,000 redraws": trained.evaluation.redrawn_coverage.estimate,
        "the same, 1,000 redraws, upper": trained.evaluation.redrawn_coverage.estimate,
        "out-of-distribution unsure": served["unsure_out_of_distribution"],
        "flowers unsure": served["unsure"],
    }
    return [
        {
            "what": what,
            "measured": measured[what],
            "limit": f"{sense} {limit}",
            # To the places that the limit is stated with.
            "kept": round(measured[what], 3) >= limit if sense == "at least" else round(measured[what], 3) <= limit,
        }
        for what, (sense, limit) in LIMITS.items()
    ]


def show(measured: dict[str, Any]) -> None:
    """Print the table and the limits."""
    table = Table(title=f"{measured['test_pictures']} test pictures of {measured['data']}, 95 % bootstrap intervals")
    for heading in ("model", "accuracy", "log loss", "fit, s"):
        table.add_column(heading)
    for row in measured["rows"]:
        cells = [interval_cell(row[metric]) for metric in ("accuracy", "log_loss")]
        table.add_row(row["name"], *cells, f"{row['fit_seconds']:,.0f}")
    limits = Table(title="Limits")
    for heading in ("what", "measured", "limit", ""):
        limits.add_column(heading)
    for limit in measured["limits"]:
        state = "kept" if limit["kept"] else "BROKEN"
        limits.add_row(limit["what"], f"{limit['measured']:.3f}", limit["limit"], state)
    Console().print(table, limits)


if __name__ == "__main__":
    sys.exit(main())
