"""The one rule by which every project decides which data it works on."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.download import (
    DownloadError,
    RemoteFile,
    check_settings,
    data_directory,
    fetch,
    file_sha256,
    reachable,
)
from portfolio_shared.proxies import NetworkSettingsError

SETTINGS = ("auto", "sample", "full")
SECONDS_TO_ANSWER = 3.0  # how long `auto` waits for the host before it works offline


@dataclass(frozen=True)
class Sample:
    """Real data that ship inside a package.

    Attributes
    ----------
    path
        The file or folder.
    name
        What they are, as pages and reports say it: ``"50,000 ratings of MovieTweetings, 2013"``.
    sha256
        Of the file, or what `folder_sha256` returns of the folder.
    whole
        True if they are all of the public data: then a model that learned from them is no lesser one.
    """

    path: Path
    name: str
    sha256: str
    whole: bool = False

    def checked(self) -> Path:
        """Return the path; raise DataError if the data are not those that shipped."""
        if not self.path.exists():
            raise DataError(f"{self.path} is missing: restore it with git, or install the package again")
        digest = folder_sha256(self.path) if self.path.is_dir() else file_sha256(self.path)
        if digest != self.sha256:
            raise DataError(
                f"{self.path} was changed: sha256 {digest}, expected {self.sha256}. Restore it, or copy it elsewhere "
                "and name the copy as the data source"
            )
        return self.path

    def source(self, why: str) -> "Source":
        """Return the sample as a source."""
        kind: Literal["sample", "full"] = "full" if self.whole else "sample"
        return Source(kind, self.checked(), f"Data: {kind}, {self.name}, which ship with the package, {why}")


@dataclass(frozen=True)
class Source:
    """Which data were chosen, and why.

    Attributes
    ----------
    kind
        ``sample``: the smaller set that ships with the project; ``full``: the public data, shipped or downloaded;
        ``path``: a file or folder of the user.
    path
        Where the data are.
    reason
        One line to print, so that nobody mistakes the sample for all of the data.
    """

    kind: Literal["sample", "full", "path"]
    path: Path
    reason: str


def resolve_source(setting: str, remote: RemoteFile | None, sample: Sample, *, directory: Path | None = None) -> Source:
    """Turn the data setting of a project into a source.

    Parameters
    ----------
    setting
        ``sample``: what ships with the package, no network. ``full``: the public data, from the cache or downloaded.
        ``auto``: ``full`` if it is in the cache or its host answers within seconds, else ``sample``; the host of data
        that ship whole is not asked.
        Anything else is the path of a file or folder; write ``./sample`` for a file of such a name.
    remote
        The public data; None where there are no others than what ships, which ``full`` and ``auto`` then mean.
    sample
        What ships with the package.
    directory
        Cache folder; `data_directory()` if None.

    Raises
    ------
    ValueError
        If the setting is neither one of the words nor an existing path, or the cache folder may not be read.
    DownloadError
        If ``full`` was asked for and cannot be had, or the file in the cache is not the expected one.
    DataError
        If the sample was changed.
    """
    folder = data_directory() if directory is None else directory
    if setting == "sample":
        return sample.source("because the setting asks for them")
    if remote is None and setting in SETTINGS:
        return sample.source("because there are no others")
    if remote is not None and setting == "full":
        return _full(remote, folder)
    if remote is not None and setting == "auto":
        return _auto(remote, sample, folder)
    path = Path(setting).expanduser()
    if not setting or not path.exists():
        close = difflib.get_close_matches(setting, SETTINGS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"data source {setting!r} is none of {', '.join(SETTINGS)} and no existing path{hint}")
    return Source("path", path, f"Data: {path}, because the setting names it")


def _full(remote: RemoteFile, folder: Path) -> Source:
    cached = _cached(remote, folder)
    path = fetch(remote, directory=folder)
    return Source("full", path, f"Data: full, {'from the cache' if cached else 'downloaded to'} {path}")


def _auto(remote: RemoteFile, sample: Sample, folder: Path) -> Source:
    if _cached(remote, folder):
        return _full(remote, folder)
    if sample.whole:
        return sample.source("so nothing is downloaded")
    try:
        check_settings(remote.urls[0])
    except NetworkSettingsError as error:
        return sample.source(f"because {error}")
    if not reachable(remote.urls, timeout=SECONDS_TO_ANSWER):
        where = f"{folder / remote.path} is not there and no host offers it within {SECONDS_TO_ANSWER:g} s"
        return sample.source(f"because {where}")
    try:
        return _full(remote, folder)
    except DownloadError as error:
        one_line = " ".join(str(error).split())
        return sample.source(f"because the download failed: {one_line}")


def _cached(remote: RemoteFile, folder: Path) -> bool:
    path = folder / remote.path
    try:
        path.stat()
    except PermissionError as error:
        raise ValueError(f"{path} may not be looked at by user {os.getuid()}: make {folder} readable") from error
    except OSError:
        return False
    return path.is_file()


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 of the lines ``sha256  path`` of all files in a folder, sorted by path, as sha256sum prints.

    Hidden files and Python's caches are left out: an operating system or an import may have added them.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    kept = [name for name in names if not any(part.startswith((".", "__pycache__")) for part in name.split("/"))]
    lines = "".join(f"{file_sha256(folder / name)}  {name}\n" for name in kept)
    return hashlib.sha256(lines.encode()).hexdigest()
