"""`image-classifier predict` for 400 photographs: on every core of this machine beside one, in turns.

The start of the process and the loading of the model are not counted. Photographs are the sample's, as often as needed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from record import RESULTS, check_limits, finish
from rich.console import Console

from image_classifier.config import BUNDLE, MODEL_NAME
from image_classifier.data.load import SAMPLE
from image_classifier.models.predictor import Predictor
from image_classifier.serving.batch import cores, predict_file
from portfolio_shared.bundle import bundle_digest, read_manifest
from portfolio_shared.evaluation.tables import terminal_table

AT_LEAST = {2: 1.8, 4: 3.2}
"""Least speed on so many cores, over that on one; of other numbers nothing is asked."""


def main() -> int:
    """Measure, print, write; return 1 if the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder of the model (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=400, help="photographs in a round (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "image_classifier_batch.json", help="file to write")
    options = parser.parse_args()
    read_manifest(options.bundle, project=MODEL_NAME)
    predictor, photographs = Predictor.load(options.bundle), sorted(SAMPLE.path.rglob("*.jpg"))
    files = [photographs[number % len(photographs)] for number in range(options.pictures)]
    seconds: dict[int, list[float]] = {threads: [] for threads in sorted({1, cores()})}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(options.rounds):
            for threads, taken in seconds.items():
                begun = time.perf_counter()
                result = predict_file(files, Path(place, "labels.csv"), predictor, threads=threads)
                taken.append(time.perf_counter() - begun)
                if result.done != len(files):
                    raise RuntimeError(f"{result.refused} photographs of the sample were refused")
    medians = {threads: statistics.median(taken) for threads, taken in seconds.items()}
    rows = [
        {
            "name": "one core" if threads == 1 else f"{threads} cores",
            "rows": len(files),
            "seconds": round(median, 2),
            "rows_a_second": round(len(files) / median, 1),
        }
        for threads, median in medians.items()
    ]
    measured = {"over_one_core": round(medians[1] / medians[cores()], 2)}
    limits = check_limits(measured, {"over_one_core": AT_LEAST[cores()]} if cores() in AT_LEAST else {}, least=True)
    recorded = {
        "bundle": bundle_digest(options.bundle)[:12],
        "pictures": len(files),
        "ways": rows,
        "measured": measured,
    }
    cells = [[str(row["name"]), f"{row['seconds']:.2f}", f"{row['rows_a_second']:.1f}"] for row in rows]
    title = f"{len(files)} photographs, the median of {options.rounds} rounds in turns"
    Console().print(terminal_table(title, ["way", "seconds", "pictures a second"], cells))
    return finish(Console(), options.output, recorded, limits)


if __name__ == "__main__":
    sys.exit(main())
