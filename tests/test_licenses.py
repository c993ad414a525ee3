"""Which data and weights are in the repository: LICENSES.md accounts for each file, they stay small, no MovieLens."""

import gzip
import io
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from checkout import ROOT, tracked

MB = 1_000_000
FOLDER, EACH = 4 * MB, 3 * MB
# What people write and commands make for them to read. Every other file is data.
WRITTEN = (
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".json",
    ".html",
    ".css",
    ".lua",
    ".js",
    ".hcl",
    ".service",
    ".sql",
    ".svg",
    ".tf",
    ".timer",
    ".lock",
    ".in",
    ".Dockerfile",
    ".cff",
    ".ipynb",
)
WRITTEN_NAMES = {"CODEOWNERS", "LICENSE", "Makefile", "run", "py.typed"}
SHIPS = re.compile(r"/(data/sample|models/pretrained)/")  # there everything but its SOURCE.md is data
# Names of the files, and the first bytes of their texts in each edition.
MOVIELENS = re.compile(r"(^|/)(ml-[\w-]+(\.zip|/)|u\.(data|item)$|(links|tags|genome-\w+)\.csv$)", re.IGNORECASE)
FIRST_BYTES = (
    b"userId,movieId,",
    b"movieId,title,",
    b"movieId,imdbId,",
    b"1::1193::5::978300760",
    b"196\t242\t3\t881250949",
)


def is_data(name: str) -> bool:
    path = Path(name)
    if SHIPS.search(f"/{name}"):
        return path.name != "SOURCE.md"
    is_written = path.name.startswith(".") or path.name in WRITTEN_NAMES or path.suffix in WRITTEN
    return not is_written or b"\0" in (ROOT / name).read_bytes()


DATA = [name for name in tracked("--cached", "--others", "--exclude-standard") if is_data(name)]


def accounted() -> dict[str, str]:
    """Return pattern -> its row in the first table of LICENSES.md."""
    table = (ROOT / "LICENSES.md").read_text(encoding="utf-8").split("\n## ")[1]
    assert table.startswith("In the repository\n")
    return {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|.*$", table, re.MULTILINE)}


def contents(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and first bytes of a file, and of what it packs."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from contents(member, archive.read(member))
    elif data.startswith(b"\x1f\x8b"):
        yield from contents(name.removesuffix(".gz"), gzip.decompress(data))
    elif len(data) > 512 and data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as files:
            for each in files:
                if (file := files.extractfile(each)) is not None:
                    yield from contents(each.name, file.read())
    else:
        yield name, data[:100]


def is_movielens(name: str, data: bytes) -> bool:
    return any(
        MOVIELENS.search(inner) or first.removeprefix(b"\xef\xbb\xbf").startswith(FIRST_BYTES)
        for inner, first in contents(name, data)
    )


def test_every_data_file_is_accounted_for() -> None:
    patterns = accounted()
    assert DATA
    assert [name for name in DATA if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in DATA)] == []


def test_what_ships_has_its_source_beside_it() -> None:
    folders = {name[: match.end() - 1] for name in DATA if (match := SHIPS.search(name))}
    assert folders
    for folder in folders:
        text = (ROOT / folder / "SOURCE.md").read_text(encoding="utf-8")
        assert "python -m " in text, folder
        assert f"{folder}/SOURCE.md" in accounted()[f"{folder}/*"]


def test_data_stay_small() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in DATA}
    assert [name for name, size in sizes.items() if size > EACH] == []
    folders: Counter[str] = Counter()
    for name, size in sizes.items():
        if match := SHIPS.search(name):
            folders[name[: match.end() - 1]] += size
    assert [folder for folder, size in folders.items() if size > FOLDER] == []


def test_nothing_of_movielens_is_redistributed() -> None:
    assert [name for name in DATA if is_movielens(name, (ROOT / name).read_bytes())] == []


def zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data/ml-1m/ratings.dat", b"anything"),
        ("films.csv", b"userId,movieId,rating,timestamp\n1,1,4.0,964982703\n"),
        ("films.csv.gz", gzip.compress(b"movieId,title,genres\n1,Toy Story (1995),Comedy\n", mtime=0)),
        ("films.zip", zipped("a.dat", b"1::1193::5::978300760\n")),
        ("films.zip", zipped("ml-latest-small/README.txt", b"anything")),
    ],
)
def test_movielens_is_recognized(name: str, data: bytes) -> None:
    assert is_movielens(name, data)
    assert not is_movielens("movies.dat", b"0000008::Edison Kinetoscopic Record of a Sneeze (1894)::Documentary")
