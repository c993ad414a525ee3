"""Copy what a volume holds: `save` writes a tar file to standard output, `load` reads one into an empty folder.

`empty` asks whether a folder is that, and changes nothing.
backup.py hands this file to ``python -c`` in a container that has the volume, as the user whom the files belong to. A
database of SQLite is copied by SQLite itself, so that what is written meanwhile cannot tear it.
"""

import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path

SQLITE = b"SQLite format 3\0"


def save(folder: Path, *names: str) -> None:
    """Write files and folders to standard output, in this order; end with a message if one is missing."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for name in names:
            path = folder / name
            if path.is_file() and path.open("rb").read(len(SQLITE)) == SQLITE:
                _add_database(archive, path)
            else:
                archive.add(path, arcname=name)


def _add_database(archive: tarfile.TarFile, path: Path) -> None:
    copy = path.with_name(f".{path.name}.copy")
    try:
        with closing(sqlite3.connect(path, timeout=60)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            (found,) = target.execute("PRAGMA integrity_check").fetchone()
        if found != "ok":
            sys.exit(f"{path} is damaged: {found}")
        archive.add(copy, arcname=path.name)
    finally:
        copy.unlink(missing_ok=True)


def empty(folder: Path) -> None:
    """End with a message if something is in the folder."""
    if there := sorted(path.name for path in folder.iterdir()):
        sys.exit(f"{folder} is not empty: it has {', '.join(there[:5])}")


def load(folder: Path) -> None:
    """Unpack standard input; what is there already would be mixed with it, so the folder must be empty."""
    empty(folder)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        archive.extractall(folder, filter="data")


if __name__ == "__main__":
    how, place, *rest = sys.argv[1:]
    {"save": save, "load": load, "empty": empty}[how](Path(place), *rest)
