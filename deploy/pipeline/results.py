"""What a step leaves in a folder, read back: hashes, and whether the files are those that were written."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> dict[str, Any]:
    """Read a file of JSON that holds an object."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def hashes_in(manifest: object) -> Iterator[tuple[str, str]]:
    """Yield (relative path, SHA-256) of every `files` in a manifest, at whatever depth.

    Examples
    --------
    >>> list(hashes_in({"stages": [{"files": {"films/0.parquet": "ab"}}]}))
    [('films/0.parquet', 'ab')]
    """
    if isinstance(manifest, list):
        for each in manifest:
            yield from hashes_in(each)
    if not isinstance(manifest, Mapping):
        return
    for name, value in manifest.items():
        if name == "files" and isinstance(value, Mapping):
            yield from value.items()
        elif name != "source":  # files of others, which lie elsewhere
            yield from hashes_in(value)


def faults(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return the files of a folder that are missing, or others than its manifest says."""
    found = []
    for name, expected in hashes_in(manifest):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif sha256_of(path) != expected:
            found.append(f"{name} is another file than was written")
    return found
