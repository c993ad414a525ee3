"""Download a public file once, and be certain that it is the right one."""

import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx
from filelock import FileLock, Timeout

from portfolio_shared.data.transfer import DownloadError, HostUnreachable, PartFile, complete

__all__ = [
    "DownloadError",
    "HashMismatch",
    "HostUnreachable",
    "RemoteFile",
    "data_directory",
    "fetch",
    "file_sha256",
    "reachable",
]

CHUNK_BYTES = 1 << 20


class HashMismatch(DownloadError):  # noqa: N818 - says what is the matter
    """A file arrived completely, but it is not the file that was expected."""


@dataclass(frozen=True)
class RemoteFile:
    """A public file: where it is, and how to recognise it.

    Attributes
    ----------
    path
        Place below the cache folder, with forward slashes: ``"ames/AmesHousing.txt"``.
    urls
        Where to get it: the publisher first, then mirrors.
    sha256
        Accepted digests in lower-case hexadecimal; more than one where several versions are in circulation.
    size
        Size in bytes, if known.
    text
        True if the publisher's copies differ in their line ends: `sha256` and `size` are then those of the text
        with CRLF replaced by LF. The file itself is kept as it was downloaded.
    """

    path: str
    urls: tuple[str, ...]
    sha256: tuple[str, ...]
    size: int | None = None
    text: bool = False

    def __post_init__(self) -> None:
        place = PurePosixPath(self.path)
        if not place.name or place.is_absolute() or ".." in place.parts:
            raise ValueError(f"path must lie below the cache folder, not {self.path!r}")
        if not isinstance(self.urls, tuple) or not self.urls:
            raise ValueError(f"urls must be a tuple with at least one address, not {self.urls!r}")
        if wrong := [
            url for url in self.urls if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname
        ]:
            raise ValueError(f"an address starts with http:// or https:// and a host, unlike {wrong[0]!r}")
        if not isinstance(self.sha256, tuple) or not self.sha256:
            raise ValueError(f"sha256 must be a tuple with at least one digest, not {self.sha256!r}")
        if wrong := [digest for digest in self.sha256 if not re.fullmatch("[0-9a-f]{64}", digest)]:
            raise ValueError(f"a sha256 has 64 lower-case hexadecimal digits, unlike {wrong[0]!r}")


def data_directory() -> Path:
    """Return the folder of downloaded data: ``PORTFOLIO_DATA_DIR``, or ``.data`` in the working directory."""
    return Path(os.environ.get("PORTFOLIO_DATA_DIR") or ".data")


def fetch(
    file: RemoteFile,
    *,
    directory: Path,
    connect_timeout: float = 3.0,
    read_timeout: float = 30.0,
    progress: bool = True,
) -> Path:
    """Return the path of the file below `directory`; download it first if it is not there.

    A file that is there already is used as it is, without a look at its hash: it may have been placed by hand.
    A download is written beside its final name and gets that name only when its hash is right, so the final name
    never shows half a file. What arrived before an interruption is kept, and the next call goes on from there.
    Two processes may ask for the same file: the second one waits for the first.

    Parameters
    ----------
    file
        What to fetch.
    directory
        Cache folder, usually `data_directory()`; created if need be.
    connect_timeout, read_timeout
        Seconds to wait for a connection, and for the next bytes of a running transfer.
    progress
        Whether to report on stderr: a bar on a terminal, otherwise one line.

    Raises
    ------
    HostUnreachable
        If no host could be connected to.
    HashMismatch
        If a file arrived that is not the expected one.
    DownloadError
        For every other failure: refusals, broken transfers, wrong sizes, a folder that cannot be written.
    """
    target = directory / file.path
    if target.is_file():
        return target
    part = PartFile(
        path=target.with_name(f"{target.name}.part"),
        name=file.path,
        size=file.size,
        text=file.text,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        progress=progress,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_process(target, part):
            if not target.is_file():
                _fetch_from_any(file, part, target)
    except OSError as error:
        raise DownloadError(f"cannot write {target}: {error}") from error
    return target


def reachable(urls: Sequence[str], *, timeout: float = 3.0) -> bool:
    """Return whether at least one address offers its file within `timeout` seconds, all together.

    Each address is asked by a thread of its own: the name resolver of the system obeys no timeout, and an
    address that never answers must not use up the time of the next one.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask(url: str) -> None:
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
                answers.put(response.is_success)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            answers.put(item=False)

    for url in urls:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    deadline = time.monotonic() + timeout
    try:
        return any(answers.get(timeout=max(0.0, deadline - time.monotonic())) for _ in urls)
    except queue.Empty:
        return False


def file_sha256(path: Path, *, text: bool = False) -> str:
    """Return the SHA-256 of a file in hexadecimal; with `text`, of its content with CRLF replaced by LF."""
    return _digest_and_size(path, text=text)[0]


@contextmanager
def _only_process(target: Path, part: PartFile) -> Iterator[None]:
    lock = FileLock(f"{target}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        part.say(f"Another process is downloading {target}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch_from_any(file: RemoteFile, part: PartFile, target: Path) -> None:
    failures: list[DownloadError] = []
    timeout = httpx.Timeout(part.read_timeout, connect=part.connect_timeout)
    # Compressed transfers would make sizes and resume offsets differ from those of the file.
    headers = {"Accept-Encoding": "identity"}
    with httpx.Client(follow_redirects=True, timeout=timeout, headers=headers) as client:
        for url in file.urls:
            try:
                complete(client, url, part)
                _verify(file, part)
            except DownloadError as error:
                failures.append(error)
            else:
                part.path.replace(target)
                part.discard()
                return
    raise _summary(file, target, failures)


def _verify(file: RemoteFile, part: PartFile) -> None:
    found, size = _digest_and_size(part.path, text=file.text)
    if found in file.sha256:
        return
    part.discard()  # so that the next attempt starts clean
    sizes = f"{size} bytes" if file.size is None else f"{size} bytes instead of {file.size}"
    raise HashMismatch(f"not the expected file: expected sha256 {' or '.join(file.sha256)}, found {found} ({sizes})")


def _summary(file: RemoteFile, target: Path, failures: list[DownloadError]) -> DownloadError:
    lines = [f"could not download {file.path}:"]
    lines += [f"  {url}: {failure}" for url, failure in zip(file.urls, failures, strict=True)]
    lines += [
        "To work offline, choose the generated data: set the data source to `sample`.",
        f"Or place the file by hand: save {file.urls[0]} as {target.resolve()}",
    ]
    kinds = {type(failure) for failure in failures}
    kind = kinds.pop() if len(kinds) == 1 else HashMismatch if HashMismatch in kinds else DownloadError
    return kind("\n".join(lines))


def _digest_and_size(path: Path, *, text: bool) -> tuple[str, int]:
    digest, size, held = hashlib.sha256(), 0, b""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if text:
                chunk = held + chunk
                held = b"\r" if chunk.endswith(b"\r") else b""  # perhaps one half of a CRLF
                chunk = chunk.removesuffix(held).replace(b"\r\n", b"\n")
            digest.update(chunk)
            size += len(chunk)
    digest.update(held)
    return digest.hexdigest(), size + len(held)
