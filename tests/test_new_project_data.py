"""Data of one's own in a new project of ranking or images: what cannot be used is refused, what can takes its place."""

import ast
import csv
import gzip
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT
from PIL import Image

from new_project import NewProjectError, copy_layer, make, prepare_of, replace_in, replacements
from portfolio_shared.data.download import file_sha256
from portfolio_shared.data.sources import folder_sha256


@pytest.mark.parametrize(
    ("kind", "content", "target", "why"),
    [
        ("ranking", "who,what\na,b\n", "", "no column of users and items; expected user and item, found who, what"),
        ("ranking", "user,item\na,b\n", "", "0 users can be tested; expected two with 8 events"),
        ("ranking", "user,item\na,b\n", "item", "TARGET=item: a ranking predicts items and no column; leave it out"),
        ("images", "a,b\n", "", "holds 0 folders; expected a folder of pictures for each of at least two labels"),
        ("images", "a,b\n", "a", "TARGET=a: the labels are the names of the folders of DATA; leave it out"),
    ],
)
def test_data_that_a_kind_cannot_use_are_refused(
    tmp_path: Path, kind: str, content: str, target: str, *, why: str
) -> None:
    (tmp_path / "data.csv").write_text(content, encoding="utf-8")
    with pytest.raises(NewProjectError, match=re.escape(why)):
        make("rents", kind, data=tmp_path / "data.csv", target=target)
    assert not [name for name in sys.modules if name.partition(".")[0] == "rents"]


CODE = '"]; raise SystemExit("code of the data ran")  # \\'
"""An id that ends a string of Python, were it pasted into one."""


def choices(folder: Path) -> Path:
    """Write a table of users and items, and return it; its name would break a string too."""
    rows = [(f"u{user}", f"i{item:02}" if item else CODE, item, "jane@home") for user in range(3) for item in range(10)]
    with (folder / 'my "choices\\x.csv').open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("customer", "product", "date", "mail"), *rows])
        return Path(file.name)


def pictures(folder: Path) -> Path:
    """Write two labels of pictures of noise, and return their folder."""
    rng = np.random.default_rng(0)
    for label in ("red", "blue"):
        (folder / 'my "colors\\x' / label).mkdir(parents=True)
        for number in range(60):
            noise = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            Image.fromarray(noise).resize((64, 48)).save(folder / 'my "colors\\x' / label / f"{number:02}.png")
    return folder / 'my "colors\\x'


@pytest.mark.parametrize(
    ("kind", "write", "file", "name"),
    [
        ("ranking", choices, "events.csv.gz", "30 rows of my choices x"),
        pytest.param("images", pictures, "pictures", "120 pictures of my colors x", marks=pytest.mark.long),
    ],
)
def test_data_of_ones_own_take_the_place_of_the_sample(
    tmp_path: Path, kind: str, write: Callable[[Path], Path], file: str, *, name: str
) -> None:
    new, words = tmp_path / "rents", replacements("rents", 8004)
    for layer in ("common", kind):
        copy_layer(ROOT / "templates" / layer, new, words)
    own = prepare_of(ROOT / "templates" / kind)(new, write(tmp_path), "")
    replace_in(new, own)

    ships = new / "src/rents/data/sample"
    digest = folder_sha256(ships / file) if (ships / file).is_dir() else file_sha256(ships / file)
    loads = (new / "src/rents/data/load.py").read_text(encoding="utf-8")
    assert f'sha256="{digest}"' in loads
    assert f'name="{name}"' in loads
    assert name in (ships / "SOURCE.md").read_text(encoding="utf-8")
    assert {path.name for path in ships.iterdir()} == {file, "SOURCE.md"}
    for path in new.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
    if kind == "ranking":
        assert b"jane" not in gzip.decompress((ships / file).read_bytes())
        assert CODE in json.loads((new / "src/rents/serving/example.json").read_text(encoding="utf-8"))


@pytest.mark.long
def test_what_the_label_sets_promise_stands_beside_what_decided_it_and_what_was_measured(tmp_path: Path) -> None:
    new = tmp_path / "rents"
    for layer in ("common", "images"):
        copy_layer(ROOT / "templates" / layer, new, replacements("rents", 8004))
    said = prepare_of(ROOT / "templates/images")(new, None, "")["HOW_SURE"]

    assert "validation part that set its threshold also set the" in " ".join(said.split())
    assert {"coverage", "test_set_coverage"} == set(re.findall("<!--=([a-z_]+)-->", said))
