"""Bring the data into a new project of ranking: the sample of MovieTweetings, or a CSV file of users and items."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from new_project import importable, one_line

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
    cut_sample.write(cut_sample.read_columns(data), ships)
    whole = ships.stat().st_size <= LARGEST
    if not whole:
        cut_sample.cut_sample(data, ships)
    rows = f"{dataset.report.rows_read:,} rows of {one_line(data.stem)}"
    name = rows if whole else f"a sample of {rows}"
    command = f"`python -m {package}.data.cut_sample {one_line(data.name)}`"
    favorites = [dataset.items[number].id for number in (-dataset.events.counts()).argsort(kind="stable")[:2]]
    example = ships.parents[2] / "serving/example.json"
    example.write_text(f"{json.dumps(favorites)}\n", encoding="utf-8")
    how = f"to the columns that are read; {command} cuts a sample of larger data" if whole else command
    (ships.parent / "SOURCE.md").write_text(SOURCE.format(what=name, how=how), encoding="utf-8")
    return {
        load.SAMPLE.name: name,
        load.SAMPLE.sha256: hashlib.sha256(ships.read_bytes()).hexdigest(),
        "whole=True": f"whole={whole}",
        "MIT, copyright 2013 Simon Dooms; its text is beside it": "Yours to say: may they be redistributed?",
    }
