"""Archives from anywhere, unpacked so that nothing in them can do harm."""

import bz2
import gzip
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, cast

from portfolio_shared.data.checks import DataError

CHUNK_BYTES = 1 << 20
DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
NO_FILE = "which is a link, a device or a file with holes: only plain files are taken"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # the second is that of an empty one
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most; sizes are counted while unpacking, not believed."""

    max_files: int = 200_000
    max_bytes: int = 20_000_000_000


@dataclass(frozen=True)
class _Member:
    name: str
    open: Callable[[], IO[bytes]] | None  # None for a folder


def unpack(archive: Path, folder: Path, *, limits: ArchiveLimits | None = None) -> Path:
    """Unpack a zip file or a tar file, packed or not, into `folder`, which appears complete or not at all.

    Only files are taken. A link, a device, a name that leads out of the folder or occurs twice, and more than the
    limits allow refuse the archive as a whole. Owners and permissions are not taken over.

    Parameters
    ----------
    archive
        Its content tells the format, not its name.
    folder
        If it is there already it is returned as it is.
    limits
        `ArchiveLimits()` if None.

    Raises
    ------
    DataError
        If the archive is refused, damaged, encrypted or empty, or cannot be written out.
    """
    allowed = ArchiveLimits() if limits is None else limits
    try:
        return filled_once(folder, lambda new: _write(archive, new, allowed))
    except DataError:
        raise
    except (*BROKEN, RuntimeError, OSError) as error:  # RuntimeError: a zip file wants a password
        raise DataError(f"{archive} cannot be unpacked: {error}; expected a zip or tar file of pictures") from error


def filled_once(folder: Path, fill: Callable[[Path], object]) -> Path:
    """Return `folder`; if it is not there, make it with the content that `fill` writes, in one step.

    Two processes may do this at once: the first one to finish wins, and both find the same content.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        fill(new)
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _write(archive: Path, folder: Path, limits: ArchiveLimits) -> None:
    with archive.open("rb") as stream:
        members = _zip_members if stream.read(4) in ZIP_MAGIC else _tar_members
    left, files = limits.max_bytes, 0
    for number, member in enumerate(members(archive, folder), start=1):
        if number > limits.max_files:
            raise DataError(f"{archive} holds more than {limits.max_files:,} files, the most that is unpacked")
        target = folder.joinpath(*_parts(member.name, archive))
        if member.open is None:
            continue
        if target.exists():
            raise DataError(f"{archive} holds {member.name!r} twice, or names that this file system takes for one")
        files += 1
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as read, target.open("xb") as write:
            while chunk := read.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise DataError(f"{archive} unpacks to more than {limits.max_bytes:,} bytes, the most allowed")
                write.write(chunk)
    if not files:
        raise DataError(f"{archive} holds no files; expected <class>/<picture>")


def _zip_members(archive: Path, _folder: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{archive} holds {info.filename!r}, {NO_FILE}")
            yield _Member(info.filename, None if info.is_dir() else partial(packed.open, info))


def _tar_members(archive: Path, folder: Path) -> Iterator[_Member]:
    with _decompressed(archive) as stream, tarfile.TarFile(fileobj=cast(IO[bytes], _Wary(stream))) as packed:
        for info in packed:
            if not (info.isfile() or info.isdir()) or info.issparse():
                raise DataError(f"{archive} holds {info.name!r}, {NO_FILE}")
            _parts(info.name, archive)
            tarfile.data_filter(info, str(folder))
            yield _Member(info.name, partial(_content, packed, info) if info.isfile() else None)
        stream.seek(packed.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:  # at which tarfile stops in silence
            raise tarfile.ReadError("it is damaged, or breaks off before its end")


def _decompressed(archive: Path) -> IO[bytes]:
    with archive.open("rb") as stream:
        start = stream.read(6)
    for magic, opened in DECOMPRESSORS.items():
        if start.startswith(magic):
            return cast(IO[bytes], opened(archive, "rb"))
    return archive.open("rb")


def _content(packed: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = packed.extractfile(info)
    if stream is None:
        raise tarfile.ReadError(f"{info.name!r} has no content")
    return stream


class _Wary:
    """A tar stream of which little is read at once: a header may announce a name of gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= CHUNK_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)


def _parts(name: str, archive: Path) -> tuple[str, ...]:
    """Return the parts of a member's name, if they lead to a place below the folder on every system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    wrong = posix.is_absolute() or windows.anchor or ".." in windows.parts or not posix.parts or "\0" in name
    if wrong and posix != PurePosixPath():
        raise DataError(f"{archive} holds {name!r}, which leads out of the folder: nothing of it is taken")
    return posix.parts
