"""Which files can be learned from: every picture looked at once, and an account of what was found."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.duplicates import HASH_SIDE, LARGE_GROUP, THUMBNAIL, find_duplicates
from image_classifier.data.images import ImageError, ImageLimits, decode, find_still, open_still
from image_classifier.data.photos import Listed, Photo
from image_classifier.data.stills import Still
from portfolio_shared.data.checks import DataError, DataReport

LIMITS = ImageLimits(max_bytes=50_000_000)
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
}
WRONG_SUFFIX, ANIMATED = "name ends otherwise than its format", "animated: the first frame is taken"
CMYK, DEEP, TURNED = "CMYK, converted", "16 bits a channel, converted", "turned upright as its EXIF data say"
REPAIRS = (WRONG_SUFFIX, ANIMATED, CMYK, DEEP, TURNED)
TWO_CLASSES, COPY = "same picture under two classes", "exact copy of another file of its class"
UNREADABLE = "cannot be read"
PARTS = 3  # to train with, to validate and to test
BROKEN = (
    "{} pictures of this collection resemble so many others that their groups would be too large for one side of the "
    "split; of them only those that are nearly the same picture count as near duplicates. Where they are frames of "
    "one film or many pictures of few scenes, the test looks at what resembles the training, and is too easy."
)
REASONS = {
    "empty": "empty file",
    "not_an_image": "not a picture",
    "unsupported_format": "format that is not read",
    "truncated": "breaks off before its end",
    "damaged": "damaged",
    "too_small": f"shorter side below {LIMITS.min_side} pixels",
    "too_many_bytes": f"more than {LIMITS.max_bytes / 1e6:g} MB",
    "too_many_pixels": f"more than {LIMITS.max_pixels:,} pixels, or {LIMITS.max_pixels_whole:,} if decoded whole",
    "too_many_frames": f"more than {LIMITS.max_frames} frames",
}


@dataclass(frozen=True)
class Cleaned:
    """Pictures in the order of their names, the account, and for each excluded file its name and the reason."""

    photos: tuple[Photo, ...]
    report: DataReport
    excluded: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Picture:
    file: Listed
    key: str
    repairs: tuple[str, ...]
    bits: NDArray[np.uint64]  # [4]
    thumbnail: NDArray[np.uint8]  # [32, 32, 3]


def clean(files: Iterable[Listed], *, name: str) -> Cleaned:
    """Read every file, exclude what cannot be used, and group what looks alike.

    Of exact copies in one class the first by name is kept. A picture that is filed under two classes, byte by byte
    or in another size or quality, is excluded wherever it is: its label is unknown.

    Raises
    ------
    DataError
        If a class consists of near duplicates of so few pictures that it cannot be split.
    """
    pictures: list[_Picture] = []
    excluded: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.name):
        try:
            pictures.append(_read(file))
        except ImageError as error:
            excluded[file.name] = REASONS[error.code]
        except OSError:  # no permission, or gone since it was listed
            excluded[file.name] = UNREADABLE
    report = DataReport(name, rows_read=len(pictures) + len(excluded))
    excluded |= _copies(pictures)
    pictures = _without(pictures, excluded)
    count = len(pictures)
    duplicates = find_duplicates(
        np.array([picture.bits for picture in pictures], dtype=np.uint64).reshape(count, HASH_SIDE**2 // 64),
        np.array([picture.thumbnail for picture in pictures], dtype=np.uint8).reshape(count, *THUMBNAIL, 3),
        np.array([picture.file.label for picture in pictures], dtype=np.intp),
    )
    broken = int((duplicates.broken & ~duplicates.contradicting).sum())
    excluded |= dict.fromkeys((pictures[i].file.name for i in np.flatnonzero(duplicates.contradicting)), TWO_CLASSES)
    rows = {picture.key: int(row) for picture, row in zip(pictures, duplicates.groups, strict=True)}
    pictures = _without(pictures, excluded)
    groups: dict[int, str] = {}  # row to the smallest key
    for key in sorted((picture.key for picture in pictures), reverse=True):
        groups[rows[key]] = key
    photos = [Photo(**vars(picture.file), key=picture.key, group=groups[rows[picture.key]]) for picture in pictures]
    _account(report, pictures, photos, excluded)
    if broken:
        report.notes.append(BROKEN.format(broken))
    _check_groups(photos)
    return Cleaned(tuple(photos), report, tuple(sorted(excluded.items())))


def _read(file: Listed) -> _Picture:
    if file.path.stat().st_size > LIMITS.max_bytes:  # before it fills the memory
        raise ImageError("too_many_bytes", f"{file.name} has more than {LIMITS.max_bytes} bytes")
    data = file.path.read_bytes()
    still = find_still(data, limits=LIMITS)
    picture = decode(still, limits=LIMITS, at_least=4 * HASH_SIDE)
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
    thumbnail = picture.resize(THUMBNAIL, Image.Resampling.BOX)
    return _Picture(
        file,
        sha256(data).hexdigest(),
        tuple(_repairs(still, file.path.suffix.lower())),
        np.packbits(bits).view(np.uint64),
        np.asarray(thumbnail, dtype=np.uint8),
    )


def _repairs(still: Still, suffix: str) -> Iterable[str]:
    """Yield what reading the picture had to correct."""
    if suffix not in SUFFIXES[still.kind]:
        yield WRONG_SUFFIX
    if still.frames > 1:
        yield ANIMATED
    with open_still(still) as picture:
        if picture.mode == "CMYK":
            yield CMYK
        if any(";16" in str(tile.args) for tile in picture.tile) or picture.info.get("bit_depth", 8) > 8:
            yield DEEP
    if still.turn != 1:
        yield TURNED


def _copies(pictures: Sequence[_Picture]) -> dict[str, str]:
    """Return which files to exclude for having the same bytes as another, and why."""
    same: dict[str, list[Listed]] = defaultdict(list)
    for picture in pictures:
        same[picture.key].append(picture.file)
    excluded: dict[str, str] = {}
    for files in same.values():
        if len({file.label for file in files}) > 1:
            excluded |= {file.name: TWO_CLASSES for file in files}
        else:
            excluded |= {file.name: COPY for file in files[1:]}
    return excluded


def _without(pictures: Sequence[_Picture], excluded: Container[str]) -> list[_Picture]:
    return [picture for picture in pictures if picture.file.name not in excluded]


def _account(
    report: DataReport, pictures: Sequence[_Picture], photos: Sequence[Photo], excluded: Mapping[str, str]
) -> None:
    reasons = Counter(excluded.values())
    for reason in (*REASONS.values(), UNREADABLE, COPY, TWO_CLASSES):
        report.exclude(reason, reasons[reason])
    repairs = Counter(repair for picture in pictures for repair in picture.repairs)
    for repair in REPAIRS:
        report.repair(repair, repairs[repair])
    sizes = [size for size in Counter(photo.group for photo in photos).values() if size > 1]
    report.notes.append(
        f"{sum(sizes)} pictures have near duplicates, in {len(sizes)} groups of at most {max(sizes, default=0)}; each "
        "group stays on one side of the split."
    )


def _check_groups(photos: Sequence[Photo]) -> None:
    """Refuse a class that no split can divide although it has pictures enough."""
    classes: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        classes[photo.name.split("/")[-2]].append(photo.group)
    for name, groups in classes.items():
        count, largest = len(set(groups)), max(Counter(groups).values())
        if count < PARTS and largest > LARGE_GROUP:
            raise DataError(
                f"class {name!r} has {len(groups)} pictures, but {largest} of them are nearly the same picture. Near "
                f"duplicates stay on one side of the split, which needs {PARTS} groups of them or more, not {count}. "
                "More pictures of that kind do not help: add some of other subjects or scenes, or leave the class out"
            )
