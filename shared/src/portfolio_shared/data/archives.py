"""Archives from anywhere; self-written because no unpacker bounds what comes out and appears complete or not at all."""

import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import IO, Literal, cast

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import file_sha256

UNPACKED = Path(".state/unpacked")
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # the second is that of an empty one
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)


def unpack_aside(archive: Path) -> Path:
    """Unpack an archive below the working directory; its own folder, and that of the data, are the user's."""
    return unpack(archive, UNPACKED / file_sha256(archive) / archive.stem)


@contextmanager
def naming(archive: Path, folder: Path) -> Iterator[None]:
    """Let errors about the files of a folder name the archive that it was unpacked from: only that is the user's."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(archive))) from error


def unpack(archive: Path, folder: Path, *, max_files: int = 200_000, max_bytes: int = 20_000_000_000) -> Path:
    """Unpack a zip or tar file, which its content tells, into `folder`; a single folder on top is left out.

    If the folder is there already it is returned as it is. Otherwise it appears complete or not at all.

    Raises
    ------
    DataError
        If the archive is damaged, encrypted or empty, holds more than the limits allow, a link, a device, a name
        that leads out of the folder or occurs twice, or cannot be written out.
    """

    def fill(new: Path) -> None:
        with archive.open("rb") as stream:
            extract = _extract_zip if stream.read(4) in ZIP_MAGIC else _extract_tar
        admission = _Admission(max_files, max_bytes)
        extract(archive, new, admission)
        if not admission.files:
            raise ValueError("it holds no files")
        inside = list(new.iterdir())
        if len(inside) == 1 and inside[0].is_dir():
            top = inside[0].rename(new.with_name("top"))
            new.rmdir()
            top.rename(new)

    try:
        return filled_once(folder, fill)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # not what the archive holds
            way = "free that place, make it writable, or start in another folder"
            raise DataError(f"{archive} cannot be unpacked into {folder}: {error}; {way}") from error
        reason = str(error).partition(":\n")[0]  # of tarfile: a line for each kind of packing
        raise DataError(f"{archive} cannot be unpacked: {reason}; expected a sound zip or tar file") from error


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


@dataclass
class _Admission:
    """Looks at each member before it is written; the first that must not be refuses the archive."""

    max_files: int
    max_bytes: int
    members: int = 0
    size: int = 0
    files: set[Path] = field(default_factory=set)

    def check(self, name: str, size: int, kind: Literal["file", "folder", "other"]) -> None:
        """Sizes are those of the headers: of no member is more written than its header says."""
        self.members, self.size = self.members + 1, self.size + size
        if self.members > self.max_files:
            raise ValueError(f"it holds more than {self.max_files:,} files, the most allowed")
        if self.size > self.max_bytes:
            raise ValueError(f"it unpacks to more than {self.max_bytes:,} bytes, the most allowed")
        if kind == "other":
            raise ValueError(f"it holds {name!r}, which is a link, a device or a file with holes")
        if PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:  # which knows both slashes
            raise ValueError(f"it holds {name!r}, which leads out of the folder")
        if Path(name) in self.files:
            raise ValueError(f"it holds {name!r} twice")
        if kind == "file":
            self.files.add(Path(name))


def _with_slashes(name: str) -> str:
    """Return the name of a member as the formats have it: some programs of Windows write backslashes."""
    return name.replace("\\", "/")


def _extract_zip(archive: Path, folder: Path, admission: _Admission) -> None:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            info.filename = _with_slashes(info.filename)
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            admission.check(info.filename, info.file_size, "folder" if info.is_dir() else "file" if plain else "other")
            packed.extract(info, folder)


def _extract_tar(archive: Path, folder: Path, admission: _Admission) -> None:
    def admitted(info: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        info = info.replace(name=_with_slashes(info.name), deep=False)
        plain = info.isfile() and not info.issparse()
        admission.check(info.name, info.size, "folder" if info.isdir() else "file" if plain else "other")
        return tarfile.data_filter(info, path)

    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter=admitted)  # noqa: S202 - the filter looks at each member
        stream = cast(IO[bytes], packed.fileobj)
        stream.seek(packed.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:  # at which tarfile stops in silence
            raise tarfile.ReadError("it is damaged, or breaks off before its end")
