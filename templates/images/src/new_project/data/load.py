"""From a folder with a folder of pictures for each label to clean pictures in three parts."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from new_project.config import TEST_SHARE, VALIDATION_SHARE
from new_project.data.images import ImageError, Pixels, leaders, look, read
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.sources import Sample, Source, resolve_source
from portfolio_shared.data.splits import hash_split

SAMPLE = Sample(
    path=Path(__file__).with_name("sample") / "pictures",
    name="SAMPLE_NAME",
    sha256="SAMPLE_SHA256",
    whole=True,
)
SPLIT_SEED = 0
LEAST, LEAST_HELD_OUT = 5, 20
"""Pictures of each label to learn from, and of all labels to set thresholds by."""
EXPECTED = "a folder of pictures for each of at least two labels, such as roses/1.jpg and tulips/1.jpg"


@dataclass(frozen=True)
class Picture:
    """A file that can be read, its label, and what it looks like (`look`): in near copies nearly the same."""

    path: Path
    name: str
    label: str
    look: str


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures of a part of the split, and features and labels of feedback, whose pictures nobody has kept.

    Attributes
    ----------
    taught
        Float32, shape (n, n_features), with the labels in `named`.
    """

    pictures: tuple[Picture, ...]
    taught: tuple[NDArray[np.float32], ...] = ()
    named: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures) + len(self.taught)

    @property
    def keys(self) -> list[str]:
        """One "file:look" for each picture."""
        return [f"{picture.name}:{picture.look}" for picture in self.pictures]

    def numbers(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each label, feedback last, shape (len(self),)."""
        return np.array([labels.index(label) for label in (*(each.label for each in self.pictures), *self.named)])


@dataclass(frozen=True)
class Dataset:
    """A collection after cleaning; `sha256` is of names and looks."""

    source: Source
    name: str
    sha256: str
    report: DataReport
    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """What is learned from, what thresholds are set by, and what is looked at once."""

    train: Part
    validation: Part
    test: Part
    labels: tuple[str, ...]


def load(setting: str) -> Dataset:
    """Find the pictures, and leave out what cannot be read and copies.

    Raises
    ------
    DataError
        If there are not at least two folders with pictures.
    """
    source = resolve(setting)
    name = f"pictures in {source.path.name}" if source.kind == "path" else SAMPLE.name
    folders = [path for path in sorted(source.path.iterdir()) if path.is_dir()] if source.path.is_dir() else []
    files = [file for folder in folders for file in sorted(folder.iterdir()) if is_visible(file)]
    report = DataReport(name, rows_read=len(files))
    pictures: dict[str, list[Picture]] = {}
    broken = 0
    for file in files:
        try:
            seen = look(read(file))
        except ImageError:
            broken += 1
            continue
        pictures.setdefault(seen, []).append(Picture(file, f"{file.parent.name}/{file.name}", file.parent.name, seen))
    report.exclude("not a picture that can be read", broken)
    unclear = [group for group in pictures.values() if len({each.label for each in group}) > 1]
    report.exclude("the same picture under two labels", sum(map(len, unclear)))
    report.exclude(
        "copy of another picture", sum(len(group) - 1 for group in pictures.values() if group not in unclear)
    )
    kept = tuple(group[0] for group in pictures.values() if group not in unclear)
    labels = tuple(sorted({picture.label for picture in kept}))
    if len(labels) < 2:
        raise DataError(f"{source.path} holds pictures of {len(labels)} labels; expected {EXPECTED}")
    text = "\n".join(sorted(f"{picture.name}:{picture.look}" for picture in kept))
    return Dataset(
        source, name, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(), report, kept, labels
    )


def resolve(setting: str) -> Source:
    """Turn the data setting into a source: ``auto``, ``sample`` and ``full`` are what ships, else it is a path."""
    return resolve_source(setting, None, SAMPLE)


def is_sample(setting: str) -> bool:
    """Return whether the data setting leads to a sample; nothing is read."""
    return resolve(setting).kind == "sample"


def split(dataset: Dataset) -> Split:
    """Deal the pictures into three parts by what they look like; near copies are in one part.

    A new picture moves no old one but its near copies.

    Raises
    ------
    DataError
        If a label, or the validation part, has too few pictures.
    """
    own = [picture.look for picture in dataset.pictures]
    looks = [own[leader] for leader in leaders(own)]
    test = hash_split(looks, test_fraction=TEST_SHARE, seed=SPLIT_SEED)
    held_out = hash_split(looks, test_fraction=VALIDATION_SHARE, seed=SPLIT_SEED + 1) & ~test
    parts = [
        Part(tuple(picture for picture, chosen in zip(dataset.pictures, rows, strict=True) if chosen))
        for rows in (~test & ~held_out, held_out, test)
    ]
    for label in dataset.labels:
        counts = [sum(picture.label == label for picture in part.pictures) for part in parts]
        if counts[0] < LEAST or 0 in counts:
            raise DataError(
                f"{label!r} has {counts[0]} pictures to learn from, {counts[1]} to validate and {counts[2]} to test; "
                f"expected at least {LEAST}, 1 and 1: add pictures of it"
            )
    if len(parts[1]) < LEAST_HELD_OUT:
        raise DataError(f"{len(parts[1])} pictures to validate; thresholds need {LEAST_HELD_OUT}: add pictures")
    train, validation, tested = parts
    return Split(train, validation, tested, dataset.labels)


def example_inputs(split: Split) -> list[Pixels]:
    """Return a few pictures as the model sees them."""
    return [read(picture.path) for picture in split.validation.pictures[:3]]


def example_rows(split: Split) -> list[Mapping[str, object]]:
    """Return rows as the MLflow adapter reads them."""
    files = [picture.path.read_bytes() for picture in split.validation.pictures[:2]]
    return [{"picture": base64.b64encode(file).decode("ascii")} for file in files]


def is_visible(path: Path) -> bool:
    """Return whether it is a file that is not hidden."""
    return path.is_file() and not path.name.startswith(".")
