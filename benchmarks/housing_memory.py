"""The most memory that `housing predict` takes for files of growing length: the Ames sales over and over."""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from housing.config import BUNDLE
from housing.data.load import SAMPLE
from portfolio_shared.evaluation.tables import terminal_table

MOST_GROWTH = 1.1


def main() -> int:
    """Print the table; return 1 if the longest file takes more than a tenth more memory than the shortest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 3_000_000])
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help="folder of the model (default: %(default)s)")
    options = parser.parse_args()
    heading, *lines = gzip.decompress(SAMPLE.path.read_bytes()).splitlines(keepends=True)
    peaks = []
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "sales.txt", Path(place) / "prices.csv"
        for n_rows in options.rows:
            with source.open("wb") as stream:
                stream.write(heading)
                for start in range(0, n_rows, len(lines)):
                    stream.writelines(lines[: n_rows - start])
            peaks.append(peak_megabytes(source, target, options.bundle))
    table = [[f"{n_rows:,}", f"{peak:,.0f}"] for n_rows, peak in zip(options.rows, peaks, strict=True)]
    Console().print(terminal_table("Memory of housing predict", ["rows", "most resident, MB"], table))
    return int(peaks[-1] > MOST_GROWTH * peaks[0])


def peak_megabytes(source: Path, target: Path, bundle: Path) -> float:
    """Price a file in a process of its own, and return the most memory it had."""
    program = Path(sys.executable).with_name("housing")
    process = subprocess.Popen([program, "predict", source, "-o", target, "--bundle", bundle])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"housing predict failed with {process.returncode}")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
