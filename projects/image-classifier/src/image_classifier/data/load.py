"""From the data setting to photographs in three parts: find them, unpack, clean, split."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from image_classifier.data.clean import clean
from image_classifier.data.duplicates import LARGE_GROUP
from image_classifier.data.folders import list_files
from image_classifier.data.photos import Photo
from portfolio_shared.data.archives import naming, unpack_aside
from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.download import RemoteFile, data_directory
from portfolio_shared.data.sources import Sample, Source, resolve_source
from portfolio_shared.data.splits import hash_split

# SHA-256 and size: as TensorFlow Datasets publishes them (tf_flowers).
FLOWERS = RemoteFile(
    path="flower_photos.tgz",
    urls=(
        "https://download.tensorflow.org/example_images/flower_photos.tgz",
        "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
    ),
    sha256=("4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",),
    size=228_813_984,
)
REDUCED = "flower_photos_288.tar"
"""The same photographs, shorter side at most 288 pixels, as `cut_sample --side 288` writes them; in the cache it stands
in for the public archive."""
SAMPLE = Sample(
    path=Path(__file__).parent / "sample" / "flower_photos",
    name="550 photographs of flower_photos",
    sha256="10685b1a054d7be9c3f6c3fa4bcead01cfe490ecee0fdfca687e86dc55fa0c8d",
)
SPLIT_SEED = 0
TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.15  # the second: of what the test leaves
LEAST_IN_TRAINING = 5  # photographs of a class


@dataclass(frozen=True)
class Dataset:
    """A collection after cleaning.

    Attributes
    ----------
    source
        Which data these are, and why.
    name
        What to call them.
    sha256
        Of the sorted lines ``name:key`` of the photographs kept.
    report
        What was repaired and what was excluded.
    photos
        In the order of their names.
    labels
        Names of the classes, sorted: those of the folders.
    """

    source: Source
    name: str
    sha256: str
    report: DataReport
    photos: tuple[Photo, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """What is learned from, what is chosen by, and what is looked at once; each has pictures of every label.

    `today` has the copies of held-out photographs that look like what the model is asked now, if there are any.
    """

    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    test: tuple[Photo, ...]
    labels: tuple[str, ...]
    today: tuple[Photo, ...] = ()


def load(setting: str | Source) -> Dataset:
    """Find or download the data, and clean them.

    Parameters
    ----------
    setting
        ``auto``, ``sample``, ``full``, or the path of a folder, tar or zip file with ``<class>/<picture>`` or
        ``<train, val or test>/<class>/<picture>``, below one other folder or none; or what `resolve` made of it.

    Raises
    ------
    ValueError
        If the setting is neither one of the words nor an existing path.
    DownloadError
        If ``full`` was asked for and cannot be had.
    DataError
        If an archive is refused, or a folder is not of the expected form.
    """
    source = resolve(setting) if isinstance(setting, str) else setting
    name = {
        "sample": SAMPLE.name,
        "full": f"flower photographs ({source.path.name})",
        "path": f"pictures in {source.path.name}",
    }[source.kind]
    folder = _folder(source)
    with naming(source.path, folder):
        labels, files, notes = list_files(folder)
    cleaned = clean(files, name=name)
    if moved := _straddling(cleaned.photos):
        notes.append(f"{moved} pictures of one side of that split were put to their near duplicates on the other.")
    cleaned.report.notes.extend(notes)
    key = digest(cleaned.photos)
    return Dataset(source, name, key, cleaned.report, cleaned.photos, labels)


def resolve(setting: str) -> Source:
    """Turn the data setting into a source: a folder or an archive.

    For ``auto`` and ``full`` an archive in the cache is used, ``flower_photos.tgz`` before ``flower_photos_288.tar``;
    the host is asked only if neither is there.
    """
    cache = data_directory()
    reduced = cache / REDUCED
    if setting in ("auto", "full") and reduced.is_file() and not (cache / FLOWERS.path).is_file():
        return Source("full", reduced, f"Data: full, from the cache {reduced}")
    return resolve_source(setting, FLOWERS, SAMPLE, directory=cache)


def is_sample(setting: str | Source) -> bool:
    """Return whether a data setting, or what `resolve` made of it, leads to the sample that ships."""
    return (resolve(setting) if isinstance(setting, str) else setting).kind == "sample"


def digest(photos: Sequence[Photo]) -> str:
    """Return the SHA-256 of the sorted lines ``name:key``."""
    lines = sorted(f"{photo.name}:{photo.key}" for photo in photos)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def split(dataset: Dataset, *, split_seed: int = SPLIT_SEED) -> Split:
    """Deal the photographs into three parts by the hashes of their names.

    A photograph's part depends on its name, or that of the first of its near duplicates, so new photographs move no
    old ones that they do not resemble, and the same photographs in another size or archive are in the same parts:
    what is tested on in the whole of flower_photos is not learned from in a sample of it. The class is part of the
    name: a photograph that is moved to another class may change its part. Where the photographs came split, their
    test is kept, but for near duplicates on both sides: those stay with the first of them.

    Raises
    ------
    DataError
        If a class has fewer than 5 photographs to learn from, or none in another part.
    """
    photos = dataset.photos
    if not photos:
        raise DataError("there are no photographs to split: every file was excluded")
    leaders = _leaders(photos)
    names = [leader.name for leader in leaders]
    test = hash_split(names, test_fraction=TEST_FRACTION, seed=split_seed)
    if leaders[0].tested is not None:  # they came with a test
        test = np.array([leader.tested for leader in leaders], dtype=np.bool_)
    # Another prefix, because the hashes of what is left are not spread evenly any more.
    keys = [f"validation:{name}" for name in names]
    validation = hash_split(keys, test_fraction=VALIDATION_FRACTION, seed=split_seed) & ~test
    train, held_out, tested = (
        tuple(photo for photo, chosen in zip(photos, part, strict=True) if chosen)
        for part in (~test & ~validation, validation, test)
    )
    for label, name in enumerate(dataset.labels):
        counts = [sum(photo.label == label for photo in part) for part in (train, held_out, tested)]
        if counts[0] < LEAST_IN_TRAINING or 0 in counts:
            groups = Counter(photo.group for photo in photos if photo.label == label)
            way, largest = "add photographs of it", max(groups.values(), default=0)
            if largest > LARGE_GROUP:
                way = f"{largest} of its {groups.total()} are nearly the same and stay on one side: add other ones"
            raise DataError(
                f"class {name!r} has {counts[0]} photographs to train with, {counts[1]} to validate and {counts[2]} "
                f"to test; expected at least {LEAST_IN_TRAINING}, 1 and 1: {way}"
            )
    return Split(train, held_out, tested, dataset.labels)


def _folder(source: Source) -> Path:
    """Return the folder of the data, unpacked if they are an archive, and not beside it: that place is the user's."""
    if source.path.is_dir():
        return source.path
    return unpack_aside(source.path)


def _straddling(photos: Sequence[Photo]) -> int:
    """Return how many pictures leave the side that they came on for that of their near duplicates."""
    return sum(photo.tested != leader.tested for photo, leader in zip(photos, _leaders(photos), strict=True))


def _leaders(photos: Sequence[Photo]) -> list[Photo]:
    """Return for each photograph the first by name of its near duplicates, itself among them."""
    first = {photo.group: photo for photo in sorted(photos, key=lambda photo: photo.name, reverse=True)}
    return [first[photo.group] for photo in photos]
