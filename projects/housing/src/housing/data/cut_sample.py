"""Pack the published file into the one that ships: `python -m housing.data.cut_sample AmesHousing.txt`."""

import argparse
import gzip
import hashlib
import sys
from pathlib import Path

from housing.data.load import AMES, SAMPLE, read_text
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import file_sha256

HEADINGS = {
    b"1st Flr SF": b"first Flr SF",
    b"2nd Flr SF": b"second Flr SF",
    b"3Ssn Porch": b"threeSsn Porch",
    b"Year Remod/Add": b"Year RemodAdd",
}
"""Headings that copies spell differently -> as they ship."""


def cut_sample(source: Path, target: Path) -> None:
    """Write all sales of the published file, packed; the same bytes from each of its copies.

    Raises
    ------
    DataError
        If the source is none of the published file's known copies.
    """
    text = read_text(source)
    for published, shipped in HEADINGS.items():
        text = text.replace(published, shipped, 1)
    if (digest := hashlib.sha256(text).hexdigest()) != AMES.sha256[0]:
        raise DataError(f"{source} is not the published file: sha256 {digest}, expected {AMES.sha256[0]}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without the name and the time that a gzip file usually holds.
    with target.open("wb") as stream, gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
        packed.write(text)


def main() -> None:
    """Write the file that ships, and print what `SAMPLE` in `data/load.py` must say of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="AmesHousing.txt as it was published")
    cut_sample(parser.parse_args().source, SAMPLE.path)
    sys.stdout.write(f"{SAMPLE.path}: {SAMPLE.path.stat().st_size} bytes, sha256 {file_sha256(SAMPLE.path)}\n")


if __name__ == "__main__":
    main()
