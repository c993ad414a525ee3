"""Cut the sample that ships from the public archive, or write all of its photographs in a smaller size.

    python -m image_classifier.data.cut_sample flower_photos.tgz
    python -m image_classifier.data.cut_sample flower_photos.tgz --side 288

The second writes ``flower_photos_288.tar`` into the working directory. The sample may be cut from either archive: names
decide, and not bytes. The bytes of a JPEG file may depend on the version of Pillow.
"""

import argparse
import csv
import io
import shutil
import sys
import tarfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from PIL import Image

from image_classifier.data.images import read_image
from image_classifier.data.load import SAMPLE, Split, load, split
from image_classifier.data.photos import TRUSTED, Photo
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.sources import folder_sha256

PER_CLASS = {"train": 80, "validation": 15, "test": 15}
"""Photographs of each part; as many of every class, so that a rare one is learned and measured as well as others."""
SIDE, QUALITY = 160, 62  # pixels of the shorter side at most; of 100
QUALITY_OF_ALL = 82
MADE = 1_577_836_800  # 2020-01-01, the time of every file in an archive: a second one has the same bytes


def cut_sample(source: Path, target: Path) -> Path:
    """Write ``flower_photos/<class>/<name>`` and ``credits.csv`` of the sample into the folder `target`; return it."""
    rows = [("file", "flickr_id", "link", "license")]
    photos = choose(split(load(str(source))))
    if (target / "flower_photos").is_dir():  # of a cut before
        shutil.rmtree(target / "flower_photos")
    for photo in photos:
        file = target / "flower_photos" / photo.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(reduced(photo.path.read_bytes(), side=SIDE, quality=QUALITY))
        number = file.name.split("_")[0]
        rows.append((photo.name, number, f"https://www.flickr.com/photo.gne?id={number}", "CC BY 2.0"))
    with (target / "credits.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return target


def choose(parts: Split) -> list[Photo]:
    """Choose the sample's photographs, the first of each group of near duplicates only; in the order of their names.

    Raises
    ------
    DataError
        If a class has too few in a part.
    """
    chosen: list[Photo] = []
    for part, count in PER_CLASS.items():
        firsts: dict[str, Photo] = {}
        for photo in getattr(parts, part):
            firsts.setdefault(photo.group, photo)
        for label, name in enumerate(parts.labels):
            alike = sorted((photo for photo in firsts.values() if photo.label == label), key=_lot)
            if len(alike) < count:
                raise DataError(f"class {name!r} has {len(alike)} different photographs to {part}, expected {count}")
            chosen += alike[:count]
    return sorted(chosen, key=lambda photo: photo.name)


def write_all(source: Path, target: Path, *, side: int) -> Path:
    """Write a tar file of the same photographs, each reduced, and of the archive's other files as they are."""
    with tarfile.open(source) as original, tarfile.open(target, "w") as smaller:
        for name in sorted(member.name for member in original if member.isfile()):
            stream = original.extractfile(name)
            data = b"" if stream is None else stream.read()
            if name.endswith(".jpg"):
                data = reduced(data, side=side, quality=QUALITY_OF_ALL)
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), MADE
            smaller.addfile(member, io.BytesIO(data))
    return target


def reduced(data: bytes, *, side: int, quality: int) -> bytes:
    """Return a picture as a JPEG file without notes, upright, its shorter side at most so many pixels."""
    picture = read_image(data, limits=TRUSTED)
    scale = side / min(picture.size)
    if scale < 1:
        width, height = picture.size
        picture = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality, optimize=True)
    return stream.getvalue()


def _lot(photo: Photo) -> str:
    return sha256(f"sample:{photo.name}".encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Cut the sample in place, and print what `data/load.py` must say of it; or write the smaller archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="flower_photos.tgz, or a smaller archive that this command wrote")
    parser.add_argument("--side", type=int, help="write all photographs, the shorter side at most so many pixels")
    options = parser.parse_args(arguments)
    if options.side is None:
        folder = cut_sample(options.source, SAMPLE.path.parent)
        sys.stdout.write(f"{SAMPLE.path}: sha256 {folder_sha256(folder / 'flower_photos')}\n")
    else:
        path = write_all(options.source, Path(f"flower_photos_{options.side}.tar"), side=options.side)
        sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
