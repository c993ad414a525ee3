"""Which files can be learned from: every picture looked at once, and an account of what was found."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_classifier.data.duplicates import HASH_SIDE, LARGE_GROUP, THUMBNAIL, Duplicates, find_duplicates
from image_classifier.data.headers import FORMATS, sniff
from image_classifier.data.images import ImageError, ImageLimits, read_image
from image_classifier.data.stills import first_still
from portfolio_shared.data.checks import DataError, DataReport

LIMITS = ImageLimits(max_bytes=50_000_000, min_side=16)
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
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
class Listed:
    """A file in a class folder: where it is, ``<class>/<file>``, and the number of its class."""

    path: Path
    name: str
    label: int


@dataclass(frozen=True)
class Photo:
    """A picture that can be learned from.

    Attributes
    ----------
    name
        ``daisy/123.jpg``, as in the source.
    label
        Number of its class.
    key
        SHA-256 of the file.
    group
        The smallest key among its near duplicates, its own if it has none: pictures of one group belong on one
        side of a split.
    """

    path: Path
    name: str
    label: int
    key: str
    group: str


@dataclass(frozen=True)
class Cleaned:
    """Pictures in the order of their names, the account, and for each file put aside its name and the reason."""

    photos: tuple[Photo, ...]
    report: DataReport
    put_aside: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Seen:
    file: Listed
    key: str
    repairs: tuple[str, ...]
    bits: NDArray[np.uint64]  # [4]
    thumbnail: NDArray[np.uint8]  # [32, 32, 3]


def clean(files: Iterable[Listed], *, name: str) -> Cleaned:
    """Read every file, put aside what cannot be used, and group what looks alike.

    Of exact copies in one class the first by name is kept. A picture that is filed under two classes, byte by byte
    or in another size or quality, is put aside wherever it is: its label is unknown.

    Parameters
    ----------
    files
        In any order.
    name
        What to call them in the report.

    Raises
    ------
    DataError
        If a class consists of near duplicates of so few pictures that it cannot be split.
    """
    seen: list[_Seen] = []
    aside: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.name):
        try:
            seen.append(_look(file))
        except ImageError as error:
            aside[file.name] = REASONS[error.code]
        except OSError:  # no permission, or gone since it was listed
            aside[file.name] = UNREADABLE
    report = DataReport(name, rows_read=len(seen) + len(aside))
    seen = _without(seen, _copies(seen), aside)
    found = _compare(seen)
    contradictions = {one.file.name: TWO_CLASSES for one in _where(found.contradicting, seen)}
    broken = len(_where(found.broken & ~found.contradicting, seen))
    rows = {one.key: int(row) for one, row in zip(seen, found.groups, strict=True)}
    seen = _without(seen, contradictions, aside)
    groups: dict[int, str] = {}  # row to the smallest key
    for key in sorted((one.key for one in seen), reverse=True):
        groups[rows[key]] = key
    photos = [Photo(one.file.path, one.file.name, one.file.label, one.key, groups[rows[one.key]]) for one in seen]
    _account(report, seen, photos, aside)
    if broken:
        report.notes.append(BROKEN.format(broken))
    _check_groups(photos)
    return Cleaned(tuple(photos), report, tuple(sorted(aside.items())))


def _look(file: Listed) -> _Seen:
    if file.path.stat().st_size > LIMITS.max_bytes:  # before it fills the memory
        raise ImageError("too_many_bytes", f"{file.name} has more than {LIMITS.max_bytes} bytes")
    data = file.path.read_bytes()
    picture = read_image(data, limits=LIMITS, at_least=4 * HASH_SIDE)
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
    thumbnail = picture.resize(THUMBNAIL, Image.Resampling.BOX)
    return _Seen(
        file,
        sha256(data).hexdigest(),
        tuple(_repairs(data, file.path.suffix.lower())),
        np.packbits(bits).view(np.uint64),
        np.asarray(thumbnail, dtype=np.uint8),
    )


def _repairs(data: bytes, suffix: str) -> Iterable[str]:
    """Tell what `read_image` had to correct."""
    kind = str(sniff(data))
    still = first_still(data, kind, most_frames=LIMITS.max_frames)
    if suffix not in SUFFIXES[kind]:
        yield WRONG_SUFFIX
    if still.frames > 1:
        yield ANIMATED
    with Image.open(io.BytesIO(still.data), formats=FORMATS) as picture:
        if picture.mode == "CMYK":
            yield CMYK
        if any(";16" in str(tile.args) for tile in picture.tile):
            yield DEEP
    if still.turn != 1:
        yield TURNED


def _copies(seen: Sequence[_Seen]) -> dict[str, str]:
    """Return which files to put aside for having the same bytes as another, and why."""
    same: dict[str, list[Listed]] = defaultdict(list)
    for one in seen:
        same[one.key].append(one.file)
    aside: dict[str, str] = {}
    for files in same.values():
        if len({file.label for file in files}) > 1:
            aside |= {file.name: TWO_CLASSES for file in files}
        else:
            aside |= {file.name: COPY for file in files[1:]}
    return aside


def _without(seen: Sequence[_Seen], reasons: dict[str, str], aside: dict[str, str]) -> list[_Seen]:
    aside |= reasons
    return [one for one in seen if one.file.name not in reasons]


def _where(mask: NDArray[np.bool_], seen: Sequence[_Seen]) -> list[_Seen]:
    return [one for one, chosen in zip(seen, mask, strict=True) if chosen]


def _compare(seen: Sequence[_Seen]) -> Duplicates:
    count = len(seen)
    return find_duplicates(
        np.array([one.bits for one in seen], dtype=np.uint64).reshape(count, HASH_SIDE**2 // 64),
        np.array([one.thumbnail for one in seen], dtype=np.uint8).reshape(count, *THUMBNAIL, 3),
        np.array([one.file.label for one in seen], dtype=np.intp),
    )


def _account(report: DataReport, seen: Sequence[_Seen], photos: Sequence[Photo], aside: dict[str, str]) -> None:
    reasons = Counter(aside.values())
    for reason in (*REASONS.values(), UNREADABLE, COPY, TWO_CLASSES):
        report.quarantine(reason, reasons[reason])
    repairs = Counter(repair for one in seen for repair in one.repairs)
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
        classes[photo.name.split("/")[0]].append(photo.group)
    for name, groups in classes.items():
        count, largest = len(set(groups)), max(Counter(groups).values())
        if count < PARTS and largest > LARGE_GROUP:
            raise DataError(
                f"class {name!r} has {len(groups)} pictures, but {largest} of them are nearly the same picture. Near "
                f"duplicates stay on one side of the split, which needs {PARTS} groups of them or more, not {count}. "
                "More pictures of that kind do not help: add some of other subjects or scenes, or leave the class out"
            )
