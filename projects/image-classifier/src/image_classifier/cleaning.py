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

from image_classifier.headers import FORMATS, sniff
from image_classifier.images import ImageError, ImageLimits, read_image
from image_classifier.stills import first_still
from portfolio_shared.data.checks import DataReport

LIMITS = ImageLimits(max_bytes=50_000_000, min_side=16)
HASH_SIDE = 16  # 256 bits; with 64 bits chance hits begin where real near duplicates still are
NEAR_BITS = 76  # of 256; see DATA_SHEET.md for what lies on either side of it
SAME_LEVELS = 4.0  # mean difference of two thumbnails, of 255: a copy in another size or quality stays below
THUMBNAIL = (8, 8)
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
    thumbnail: NDArray[np.float32]  # [8, 8, 3]


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
    pairs = near_pairs(_stack(seen), within=NEAR_BITS)
    contradictions = {
        one.file.name: TWO_CLASSES for pair in pairs if _contradict(seen, pair) for one in _at(seen, pair)
    }
    alike = [(seen[i].key, seen[j].key) for i, j in pairs]
    seen = _without(seen, contradictions, aside)
    groups = _groups([one.key for one in seen], alike)
    _account(report, seen, groups, aside)
    photos = [Photo(one.file.path, one.file.name, one.file.label, one.key, groups[one.key]) for one in seen]
    return Cleaned(tuple(photos), report, tuple(sorted(aside.items())))


def near_pairs(bits: NDArray[np.uint64], *, within: int) -> list[tuple[int, int]]:
    """Return all pairs of rows that differ in at most so many bits, the smaller row first.

    Every pair is compared, 64 bits in one step: 3,000 pictures take a fraction of a second, 100,000 some minutes.

    Parameters
    ----------
    bits
        [n, words].
    """
    pairs: list[tuple[int, int]] = []
    block = max(1, 1_000_000 // max(1, len(bits)))  # bounds the memory
    for start in range(0, len(bits), block):
        rows = bits[start : start + block, None] ^ bits[None, start:]
        close = np.argwhere(np.bitwise_count(rows).sum(axis=2) <= within)
        pairs += [(start + int(i), start + int(j)) for i, j in close if i < j]
    return pairs


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
        np.asarray(thumbnail, dtype=np.float32),
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


def _contradict(seen: Sequence[_Seen], pair: tuple[int, int]) -> bool:
    one, other = _at(seen, pair)
    difference = float(np.abs(one.thumbnail - other.thumbnail).mean())
    return one.file.label != other.file.label and difference <= SAME_LEVELS


def _at(seen: Sequence[_Seen], pair: tuple[int, int]) -> tuple[_Seen, _Seen]:
    return seen[pair[0]], seen[pair[1]]


def _without(seen: Sequence[_Seen], reasons: dict[str, str], aside: dict[str, str]) -> list[_Seen]:
    aside |= reasons
    return [one for one in seen if one.file.name not in reasons]


def _stack(seen: Sequence[_Seen]) -> NDArray[np.uint64]:
    return np.array([one.bits for one in seen], dtype=np.uint64).reshape(len(seen), HASH_SIDE**2 // 64)


def _groups(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each key the smallest one that a chain of pairs leads to."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for one, other in pairs:
        if one in parent and other in parent:
            first, second = sorted((root(one), root(other)))
            parent[second] = first
    return {key: root(key) for key in keys}


def _account(report: DataReport, seen: Sequence[_Seen], groups: dict[str, str], aside: dict[str, str]) -> None:
    reasons = Counter(aside.values())
    for reason in (*REASONS.values(), UNREADABLE, COPY, TWO_CLASSES):
        report.quarantine(reason, reasons[reason])
    repairs = Counter(repair for one in seen for repair in one.repairs)
    for repair in REPAIRS:
        report.repair(repair, repairs[repair])
    sizes = [size for size in Counter(groups.values()).values() if size > 1]
    report.notes.append(
        f"{sum(sizes)} pictures have near duplicates, in {len(sizes)} groups of at most {max(sizes, default=0)}; each "
        "group stays on one side of the split."
    )
