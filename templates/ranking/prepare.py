"""Bring the data into a new project of ranking: the sample of MovieTweetings, or a CSV file of users and items."""

import gzip
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RULE_OF_ROWS = """A row stays on its
side when rows are added, removed or reordered, and a second copy of it is on the same side."""
RULE_OF_HISTORIES = """They are
the last events of each user, so that a model is asked what comes next; the same number before them chooses models."""
LARGEST = 3_000_000  # bytes, packed: of larger data a sample ships
SOURCE = """# The data

| | |
| --- | --- |
| What | {what}: `events.csv.gz` |
| Whose | Yours to say, with the terms: they ship with this repository |
| Cut | {how} |

The hash of the file is in `load.py`, and nothing is read that differs.
"""


def prepare(folder: Path, data: Path | None, target: str) -> Mapping[str, str]:
    """Put the data into the new project's folder, and return what to replace in its text.

    Raises
    ------
    ValueError
        If the data cannot be used, or a target is named, which a ranking has none of.
    """
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    if text.count(RULE_OF_ROWS) != 1:
        raise ValueError(f"{readme} says nothing of rows that stay on their side, for which this kind has another rule")
    readme.write_text(text.replace(RULE_OF_ROWS, RULE_OF_HISTORIES), encoding="utf-8")
    if target:
        raise ValueError(f"TARGET={target}: a ranking predicts items and no column; leave it out")
    if data is None:
        return {}
    with importable(folder) as module:
        return bring(data, module("data.load"), module("data.cut_sample"))


def bring(data: Path, load: Any, cut_sample: Any) -> Mapping[str, str]:
    """Put a table of one's own in the place of the sample; a cut of it where it is too large to ship."""
    dataset = load.load(str(data))
    load.split(dataset)
    ships, package = load.SAMPLE.path, load.__name__.partition(".")[0]
    for path in ships.parent.iterdir():
        path.unlink()
    content = data.read_bytes()
    packed = content if content.startswith(b"\x1f\x8b") else gzip.compress(content, mtime=0)
    if whole := len(packed) <= LARGEST:
        ships.write_bytes(packed)
    else:
        cut_sample.cut_sample(data, ships)
    rows = f"{dataset.report.rows_read:,} rows of {data.stem}"
    name = rows if whole else f"a sample of {rows}"
    command = f"`python -m {package}.data.cut_sample {data.name}`"
    how = f"not at all; {command} cuts a sample of larger data" if whole else command
    (ships.parent / "SOURCE.md").write_text(SOURCE.format(what=name, how=how), encoding="utf-8")
    return {
        load.SAMPLE.name: name,
        load.SAMPLE.sha256: hashlib.sha256(ships.read_bytes()).hexdigest(),
        "whole=True": f"whole={whole}",
        "0110912": dataset.items[int(dataset.events.counts().argmax())].id,
        "MIT, copyright 2013 Simon Dooms; its text is beside it": "Yours to say: may they be redistributed?",
    }


@contextmanager
def importable(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Give what imports a module of the new project, by its name in the package; nothing of it stays imported."""
    (package,) = (path for path in folder.glob("src/*") if path.is_dir())
    before = sys.dont_write_bytecode
    sys.path.insert(0, str(package.parent))
    sys.dont_write_bytecode = True
    try:
        yield lambda name: importlib.import_module(f"{package.name}.{name}")
    finally:
        sys.path.remove(str(package.parent))
        sys.dont_write_bytecode = before
        for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
            del sys.modules[name]
