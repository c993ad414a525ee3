"""Cut the sample that ships out of MovieTweetings: `python -m recommender.data.cut_sample FOLDER`.

The folder is a snapshot as it is published, with `ratings.dat`, `movies.dat` and `LICENSE`; `sample/SOURCE.md` names
the one that was cut. The same snapshot gives the same bytes.
"""

import sys
import zipfile
from collections import Counter
from pathlib import Path

from portfolio_shared.data.download import file_sha256
from recommender.data.source import SAMPLE

MIN_RATINGS = 15  # of a person in the snapshot
MIN_RATERS = 3  # of a film, among these people
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can name: time of day changes no byte


def cut_sample(source: Path, target: Path) -> Path:
    """Write the sample as a zip file with `ratings.dat`, `movies.dat` and `LICENSE`, and return its path.

    People keep their order and get new numbers, from 1; films keep their IMDb ids.
    """
    rows = [line.split("::") for line in (source / "ratings.dat").read_text(encoding="utf-8").splitlines()]
    of_person = Counter(person for person, *_ in rows)
    rows = [row for row in rows if of_person[row[0]] >= MIN_RATINGS]
    of_film = Counter(film for _, film, *_ in rows)
    rows = [row for row in rows if of_film[row[1]] >= MIN_RATERS]
    number = {person: str(n) for n, person in enumerate(dict.fromkeys(row[0] for row in rows), start=1)}
    ratings = ["::".join([number[person], *rest]) for person, *rest in rows]
    rated = {film for _, film, *_ in rows}
    movies = (source / "movies.dat").read_text(encoding="utf-8").splitlines()
    with zipfile.ZipFile(target, "w") as packed:
        _write(packed, "LICENSE", (source / "LICENSE").read_text(encoding="utf-8").splitlines())
        _write(packed, "movies.dat", [line for line in movies if line.split("::")[0] in rated])
        _write(packed, "ratings.dat", ratings)
    return target


def _write(packed: zipfile.ZipFile, name: str, lines: list[str]) -> None:
    info = zipfile.ZipInfo(name, FIRST_DATE)
    info.create_system, info.external_attr = 3, 0o100644 << 16  # a plain file of Unix, on whatever system it is cut
    text = "".join(f"{line}\n" for line in lines)
    # Smaller than with deflate, and of one library alone, so that every machine writes the same bytes.
    packed.writestr(info, text.encode(), compress_type=zipfile.ZIP_BZIP2, compresslevel=9)


def main() -> None:
    """Cut the sample in place, and print what `data/source.py` must say of it."""
    path = cut_sample(Path(sys.argv[1]), SAMPLE.path)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes, sha256 {file_sha256(path)}\n")


if __name__ == "__main__":
    main()
