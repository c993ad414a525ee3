"""What the files of a bundle come to when they are read, counted before anything is unpacked.

A file that is packed may unpack to a thousand times its size, and a bundle with the right hashes may still have been
made to exhaust who reads it. Arrays and JSON are bounded here. An ONNX graph can compute what no file shows: a graph is
code, and is trusted as far as whoever registered it (see `signatures`).
"""

import math
import zipfile
from pathlib import Path
from typing import IO

from portfolio_shared.bundle import BundleError, Manifest

MB = 1_000_000
MAX_MEMBERS = 1000  # of an archive
# Bytes of memory, at most, for what stands in JSON: an object with one entry, a list, a value in it, a string, a key;
# and for each byte, where one letter makes all of a text four bytes wide, and a string is a copy of its part.
JSON_BYTES = {b"{": 232, b"[": 88, b",": 40, b'"': 28, b":": 60}
JSON_GROWTH = 8
GRAPH_GROWTH = 3  # of ONNX: the file, the graph and the weights as kernels want them
_MEMBER_BYTES = 512  # of an archive's directory, for a member
_END, _END_OF_64, _END_BYTES, _LOCATOR_BYTES = b"PK\5\6", b"PK\6\7", 22, 20
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check_size(directory: Path, manifest: Manifest, *, megabytes: float) -> None:
    """Raise `BundleError` if the files of a bundle take more memory than that, or one is no plain archive of arrays.

    Parameters
    ----------
    manifest
        Names the files; their hashes are not looked at.
    megabytes
        That all of them together may take.
    """
    left = megabytes * MB
    for name in manifest.files:
        left -= _size(directory / name)
        if left < 0:
            raise BundleError(
                f"{directory / name}: the bundle takes more than the {megabytes:g} MB that it may unpack to"
            )


def _size(path: Path) -> int:
    on_disk = path.stat().st_size
    if path.suffix == ".npz":
        return _array_bytes(path, on_disk)
    if path.suffix == ".json":
        return _json_bytes(path)
    return on_disk * (GRAPH_GROWTH if path.suffix == ".onnx" else 1)


def _json_bytes(path: Path) -> int:
    size = 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            size += JSON_GROWTH * len(piece) + sum(piece.count(mark) * each for mark, each in JSON_BYTES.items())
    return size


def _array_bytes(path: Path, on_disk: int) -> int:
    """Return what the arrays of an npz file take, as its directory says, which no reader goes beyond."""
    try:
        with path.open("rb") as file:
            _check_directory(file, on_disk)
            with zipfile.ZipFile(file) as archive:
                return sum(_member_bytes(archive, member) for member in archive.infolist())
    except OSError:
        raise
    except Exception as error:
        # The parsers of archives and headers raise what a damaged one leads to, such as tokenize.TokenError.
        raise BundleError(f"{path}: expected an archive of plain arrays, as numpy.savez writes it: {error}") from error


def _check_directory(file: IO[bytes], on_disk: int) -> None:
    """Bound an archive's directory before zipfile makes an object for each of its entries."""
    file.seek(max(0, on_disk - _END_BYTES - _LOCATOR_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if end[:4] != _END or end[-2:] != b"\0\0" or tail.startswith(_END_OF_64):
        raise ValueError("its last bytes are not those of such a file")
    if (directory := int.from_bytes(end[12:16], "little")) > MAX_MEMBERS * _MEMBER_BYTES:
        raise ValueError(f"its directory has {directory:,} bytes, more than {MAX_MEMBERS} members need")


def _member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    import numpy as np

    if not member.filename.endswith(".npy") or member.compress_type not in _PLAIN:
        raise ValueError(f"the member {member.filename[:80]!r} is no plain array")
    with archive.open(member) as file:
        # Later versions of the format have headers of any length, for records that nobody here stores.
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member.filename[:80]!r} has a header of another version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        stored = member.file_size - file.tell()
    if dtype.hasobject or not dtype.itemsize or math.prod(shape) * dtype.itemsize != stored:
        raise ValueError(f"{member.filename[:80]!r} says {dtype}{list(shape)} and has {stored:,} bytes")
    return member.file_size
