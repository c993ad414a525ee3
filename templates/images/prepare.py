"""Bring the data into a new project of images: a cut of the photographs that ship here, or of a folder of one's own.

The pretrained network is copied from the pictures project: a second one in the templates would be the same two
megabytes again, and projects never import each other.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from new_project import importable, one_line

ROOT = Path(__file__).resolve().parents[2]
PICTURES = Path("projects/image-classifier/src/image_classifier")
LABELS = ("daisy", "sunflowers", "tulips")
CREDITS = "People who put them on Flickr; `credits.csv` has for each file a link to its page"
TERMS = "CC BY 2.0, by the photographers that the pages in `credits.csv` name; made smaller"
SOURCE = """# {name}

| | |
| --- | --- |
| What | `pictures/<label>/<name>.jpg`: {name}, the shorter side at most 160 pixels |
| Whose | {whose} |
| Terms | {terms} |
| Cut | `python -m {package}.data.cut_sample FOLDER`, from {source} |

A second run on the same folder, with one version of Pillow, writes the same bytes. Their hash is in `load.py`, and
nothing is read that differs.
"""

HOW_SURE = """Each answer has a set of labels that is to hold the right one in a share
of <!--=coverage-->0 %<!--/--> of pictures. The validation part that set its threshold also set the
[temperature](../../docs/glossary.md#temperature) and compared the candidates, so the promise is not exact. On the test
part, which did none of this, the share was <!--=test_set_coverage-->0<!--/-->. *For which label is it less?*"""


def prepare(folder: Path, data: Path | None, target: str) -> Mapping[str, str]:
    """Put pictures and network into the new project's folder, and return what to replace in its text.

    Raises
    ------
    ValueError
        If the pictures cannot be used, the pictures project is gone, or a target is named, which images have none of.
    """
    if target:
        raise ValueError(f"TARGET={target}: the labels are the names of the folders of DATA; leave it out")
    if not (ROOT / PICTURES / "models/pretrained").is_dir():
        raise ValueError(f"{PICTURES} has the pretrained network, and is gone: restore it from the history first")
    (package,) = (path for path in folder.glob("src/*") if path.is_dir())
    shutil.copytree(ROOT / PICTURES / "models/pretrained", package / "models/pretrained")
    with importable(folder) as module:
        return bring(data, module("data.load"), module("data.cut_sample"))


def bring(data: Path | None, load: Any, cut_sample: Any) -> Mapping[str, str]:
    """Put a cut of the pictures in the place of the sample, and say whose they are."""
    ships, package = load.SAMPLE.path, load.__name__.partition(".")[0]
    ships.parent.mkdir(exist_ok=True)
    with TemporaryDirectory() as scratch:
        whole = cut_sample.cut(photographs(Path(scratch)) if data is None else data, ships)
    kept = sum(path.is_file() for path in ships.glob("*/*"))
    load.split(load.load(str(ships)))
    if data is None:
        name, terms, source, whose = (
            f"{kept} photographs of flower_photos",
            TERMS,
            "the sample of the pictures project",
            CREDITS,
        )
        write_credits(ships)
    else:
        given = one_line(data.resolve().name)
        name = f"{kept:,} pictures of {given}" if whole else f"a sample of {given}, {kept:,} small pictures"
        terms, source, whose = "Yours to say: may they be redistributed?", f"`{given}`", "Yours to say"
    about = SOURCE.format(name=name, whose=whose, terms=terms, source=source, package=package)
    (ships.parent / "SOURCE.md").write_text(about, encoding="utf-8")
    from portfolio_shared.data.sources import folder_sha256

    return {
        "SAMPLE_NAME": name,
        "SAMPLE_SHA256": folder_sha256(ships),
        "SAMPLE_TERMS": terms,
        "whole=True": f"whole={whole}",
        "HOW_SURE": HOW_SURE,
    }


def photographs(scratch: Path) -> Path:
    """Return a folder with the labels of the photographs that a new project starts with."""
    for label in LABELS:
        shutil.copytree(ROOT / PICTURES / "data/sample/flower_photos" / label, scratch / label)
    return scratch


def write_credits(ships: Path) -> None:
    """Write who is to be named for each photograph that was kept."""
    kept = {str(path.relative_to(ships)) for path in ships.glob("*/*")}
    heading, *rows = (ROOT / PICTURES / "data/sample/credits.csv").read_text(encoding="utf-8").splitlines()
    lines = [heading, *(row for row in rows if row.partition(",")[0] in kept)]
    (ships.parent / "credits.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
