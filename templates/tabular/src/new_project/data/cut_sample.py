"""Pack a table into the one that ships: `python -m new_project.data.cut_sample TABLE.csv`."""

import argparse
import gzip
import sys
from pathlib import Path

from new_project.data.load import SAMPLE, read
from portfolio_shared.data.download import file_sha256
from portfolio_shared.data.tables import open_text


def cut_sample(source: Path, target: Path) -> None:
    """Write a table, packed, in UTF-8; refuse one whose columns are not those of `columns.toml`."""
    read(source)
    with open_text(source) as text:
        content = text.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without the name and the time that a gzip file usually holds: the same bytes each time.
    with target.open("wb") as stream, gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
        packed.write(content.encode())


def main() -> None:
    """Write the file that ships, and print what `SAMPLE` in `data/load.py` must say of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    cut_sample(parser.parse_args().source, SAMPLE.path)
    sys.stdout.write(f"{SAMPLE.path}: sha256 {file_sha256(SAMPLE.path)}\n")


if __name__ == "__main__":
    main()
