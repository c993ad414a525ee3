"""Cut a sample out of a collection: `python -m new_project.data.cut_sample FOLDER` writes it where it ships.

Kept are as many pictures of each label, the first by the hash of their names, made smaller. The same folder gives the
same pictures, and one version of Pillow the same bytes.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageOps

from new_project.data.images import ImageError, read
from new_project.data.load import EXPECTED, SAMPLE, is_visible
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.sources import folder_sha256

PER_LABEL, MOST, SHORTER, QUALITY = 60, 500, 160, 70
"""Pictures of each label and of all, the shorter side in pixels, and the quality of a JPEG that is written."""
MOST_LABELS = 16


def cut_sample(source: Path, target: Path) -> Path:
    """Write at most PER_LABEL pictures of each label, whose shorter sides have at most SHORTER pixels.

    Small JPEG files are copied as they are.

    Raises
    ------
    DataError
        If there are fewer than two labels with pictures, or more than a repository should hold.
    """
    folders = [path for path in sorted(source.iterdir()) if path.is_dir()] if source.is_dir() else []
    if not 2 <= len(folders) <= MOST_LABELS:
        raise DataError(f"{source} holds {len(folders)} folders; expected {EXPECTED}, and at most {MOST_LABELS}")
    shutil.rmtree(target, ignore_errors=True)
    for folder in folders:
        (target / folder.name).mkdir(parents=True)
        files = sorted(filter(is_visible, folder.iterdir()), key=_hash)
        for file in [file for file in files if _is_readable(file)][: min(PER_LABEL, MOST // len(folders))]:
            _write_small(file, target / folder.name / f"{file.stem}.jpg")
    if sum(any(place.iterdir()) for place in target.iterdir()) < 2:
        raise DataError(f"{source} holds pictures of fewer than two labels; expected {EXPECTED}")
    return target


def _write_small(file: Path, target: Path) -> None:
    with Image.open(file) as image:
        if image.format == "JPEG" and min(image.size) <= SHORTER:
            shutil.copyfile(file, target)
            return
        small = ImageOps.exif_transpose(image).convert("RGB")
    scale = min(1.0, SHORTER / min(small.size))
    size = (round(small.width * scale), round(small.height * scale))
    small.resize(size, Image.Resampling.LANCZOS).save(target, quality=QUALITY, optimize=True)


def _hash(file: Path) -> bytes:
    return hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).digest()


def _is_readable(file: Path) -> bool:
    try:
        read(file)
    except ImageError:
        return False
    return True


def main() -> None:
    """Cut the sample in place, and print what `data/load.py` must say of it."""
    path = cut_sample(Path(sys.argv[1]), SAMPLE.path)
    sys.stdout.write(f"{path}: sha256 {folder_sha256(path)}\n")


if __name__ == "__main__":
    main()
