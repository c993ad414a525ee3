"""Cut a sample out of a collection: `python -m new_project.data.cut_sample FOLDER` writes it where it ships.

Kept are as many pictures of each label, the first by the hash of their names, made smaller. The same folder gives the
same pictures, and one version of Pillow the same bytes.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from PIL import Image

from new_project.data.images import ImageError, read, upright
from new_project.data.load import EXPECTED, SAMPLE, is_visible
from portfolio_shared.data.checks import DataError
from portfolio_shared.data.sources import folder_sha256

PER_LABEL, MOST, SHORTER, QUALITY = 60, 500, 160, 70
"""Pictures of each label and of all, the shorter side in pixels, and the quality of a JPEG that is written."""
MOST_LABELS = 16
JPEG = (".jpg", ".jpeg")


def cut_sample(source: Path, target: Path) -> Path:
    """Write a sample as `cut` does, and return where it is."""
    cut(source, target)
    return target


def cut(source: Path, target: Path) -> bool:
    """Write at most PER_LABEL pictures of each label, whose shorter sides have at most SHORTER pixels.

    Each is written anew: what a camera noted in the file, such as where it was, is not in the sample. Return whether
    the sample is whole: no picture was left out, and none made smaller.

    Raises
    ------
    DataError
        If there are fewer than two labels with pictures, or more than a repository should hold.
    """
    folders = [path for path in sorted(source.iterdir()) if path.is_dir()] if source.is_dir() else []
    if not 2 <= len(folders) <= MOST_LABELS:
        raise DataError(f"{source} holds {len(folders)} folders; expected {EXPECTED}, and at most {MOST_LABELS}")
    shutil.rmtree(target, ignore_errors=True)
    whole = True
    for folder in folders:
        (target / folder.name).mkdir(parents=True)
        files = list(filter(_is_readable, sorted(filter(is_visible, folder.iterdir()), key=_hash)))
        kept = files[: min(PER_LABEL, MOST // len(folders))]
        whole &= len(kept) == len(files)
        for file in kept:
            to = target / folder.name / f"{file.stem if file.suffix.lower() in JPEG else file.name}.jpg"
            while to.exists():
                to = to.with_stem(f"{to.stem}-2")
            whole &= _write_small(file, to)
    if sum(any(place.iterdir()) for place in target.iterdir()) < 2:
        raise DataError(f"{source} holds pictures of fewer than two labels; expected {EXPECTED}")
    return whole


def _write_small(file: Path, target: Path) -> bool:
    """Write the pixels of a picture and nothing else of it; return whether it has its size still."""
    with Image.open(file) as image:
        given = upright(image)
    scale = min(1.0, SHORTER / min(given.size))
    small = given.resize((round(given.width * scale), round(given.height * scale)), Image.Resampling.LANCZOS)
    small.info.clear()  # else Pillow writes the comment again
    small.save(target, "JPEG", quality=QUALITY, optimize=True)
    return scale == 1


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
