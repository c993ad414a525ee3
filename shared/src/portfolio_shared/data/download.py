"""Public files in a cache, by pooch; here is what it leaves out: mirrors, several digests, line ends, time limits."""

import hashlib
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portfolio_shared.addresses import without_secrets
from portfolio_shared.proxies import NetworkSettingsError, proxy_for, require_certificates, require_usable

CONNECT_SECONDS, READ_SECONDS = 3.0, 30.0  # to connect, and for the next bytes of a running transfer
RETRIES = 2  # of a transfer that broke off, from the same address


class DownloadError(RuntimeError):
    """A file cannot be had; the message says what failed at each address, and what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A public file: where it is, and how to recognize it.

    Attributes
    ----------
    path
        Place below the cache folder, with forward slashes: ``"ames/AmesHousing.txt"``.
    urls
        Where to get it: the publisher first, then mirrors.
    sha256
        Accepted digests in lower-case hexadecimal; more than one where several versions are in circulation.
    size
        In bytes, if known.
    text
        True if copies differ in their line ends: `sha256` is then that of the text with CRLF replaced by LF.
    """

    path: str
    urls: tuple[str, ...]
    sha256: tuple[str, ...]
    size: int | None = None
    text: bool = False


def data_directory() -> Path:
    """Return the folder of downloaded data: ``PORTFOLIO_DATA_DIR``, or ``.data`` in the working directory."""
    return Path(os.environ.get("PORTFOLIO_DATA_DIR") or ".data")


def fetch(file: RemoteFile, *, directory: Path) -> Path:
    """Return the path of the file below the cache folder `directory`; download it first if it is not there.

    A download gets its name in one step, when its hash is right: an interruption leaves nothing under that name,
    and two processes may download the same file.

    Raises
    ------
    DownloadError
        If no address gives the file, if the folder cannot be written, or if the file that is there already is not
        the expected one; it is left as it is.
    """
    import requests

    target = directory / file.path
    if target.is_file():
        _verify(target, file, f"delete {target} to download it again, or name its path as the data source to use it")
        return target
    failures: list[str] = []
    for url in file.urls:
        try:
            check_settings(url)
            _download(url, file, target)
        except (DownloadError, NetworkSettingsError, requests.RequestException) as error:
            through = f" (asked through {proxy})" if (proxy := proxy_for(url)) else ""
            failures.append(without_secrets(f"  {url}: {error}{through}"))
        except OSError as error:
            raise DownloadError(f"cannot write {target}: {error}") from error
        else:
            return target
    way = f"Set the data source to `sample` to work offline, or save {file.urls[0]} as {target.resolve()}"
    raise DownloadError("\n".join([f"could not download {file.path}:", *failures, way]))


def check_settings(url: str) -> None:
    """Raise NetworkSettingsError if a proxy or certificates that the environment names keep us from an address."""
    if (proxy := proxy_for(url)) is not None:
        require_usable(proxy, socks="PySocks")
    require_certificates("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def reachable(urls: Sequence[str], *, timeout: float = CONNECT_SECONDS) -> bool:
    """Return whether at least one address offers its file within `timeout` seconds, all together.

    Each is asked by a thread of its own: the name resolver of the system obeys no timeout.
    """
    import requests

    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask(url: str) -> None:
        try:
            with requests.get(url, stream=True, timeout=timeout) as response:
                answers.put(response.ok)
        except OSError:  # as every error of requests is
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
    if text:
        return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(url: str, file: RemoteFile, target: Path) -> None:
    import pooch
    import requests
    from urllib3.exceptions import MaxRetryError

    transfer = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 20,
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        headers={"Accept-Encoding": "identity"},  # the announced length is then that of the file
    )

    def verified(address: str, output: str, _cache: pooch.Pooch | None) -> None:
        try:
            transfer(address, output, None)
        except requests.ConnectionError as error:
            if not isinstance(error.args[0], MaxRetryError):
                raise  # it broke off on the way: pooch tries again
            raise DownloadError(f"no connection: {error}") from error
        _verify(Path(output), file, "the address has another file")
        Path(output).chmod(0o644)  # of a temporary file only its owner could read it

    # Without a hash, because there may be several: `verified` compares them before the file gets its name.
    registry, urls = {target.name: None}, {target.name: url}
    cache = pooch.create(target.parent, base_url="", registry=registry, urls=urls, retry_if_failed=RETRIES)
    cache.fetch(target.name, downloader=verified)


def _verify(path: Path, file: RemoteFile, way: str) -> None:
    if (digest := file_sha256(path, text=file.text)) not in file.sha256:
        size = f"{path.stat().st_size} bytes" + (f" instead of {file.size}" if file.size is not None else "")
        expected = " or ".join(file.sha256)
        raise DownloadError(f"not the expected file: sha256 {digest}, expected {expected} ({size}): {way}")
