"""One transfer: bring the bytes of one address into a part file, and go on where the last attempt stopped."""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

ATTEMPTS_PER_URL = 3  # a transfer that broke off goes on where it stopped, at once and this often


class DownloadError(RuntimeError):
    """A file could not be fetched; the message names every address that was tried and what to do."""


class HostUnreachable(DownloadError):  # noqa: N818 - says what is the matter
    """No host of the file answered within seconds."""


@dataclass(frozen=True)
class PartFile:
    """A file on its way, what is known about it, and how long to wait for it.

    Attributes
    ----------
    path
        Where the bytes are collected.
    name
        What to call the file in reports.
    size, text
        As in `portfolio_shared.data.download.RemoteFile`.
    connect_timeout, read_timeout
        Seconds.
    progress
        Whether to report on stderr.
    """

    path: Path
    name: str
    size: int | None
    text: bool
    connect_timeout: float
    read_timeout: float
    progress: bool

    @property
    def validator(self) -> Path:
        """Where the ETag or the date of the bytes is kept for the next attempt."""
        return self.path.with_name(f"{self.path.name}.validator")

    @property
    def most_bytes(self) -> float:
        """Size that the file can have at most."""
        if self.size is None:
            return float("inf")
        return self.size * 2 if self.text else self.size  # each LF of a text may arrive as CRLF

    def received(self) -> int:
        """Return the number of bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        """Forget the bytes, so that the next attempt starts clean."""
        self.path.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)

    def say(self, line: str) -> None:
        """Report one line on stderr, if reports are wanted."""
        if self.progress:
            Console(stderr=True).print(line, soft_wrap=True, markup=False, highlight=False)


def complete(client: httpx.Client, url: str, part: PartFile) -> None:
    """Make the part file complete; go on where a transfer broke off, as long as each attempt brings new bytes."""
    for attempt in range(1, ATTEMPTS_PER_URL + 1):
        offset = part.received()
        if offset == part.size and not part.text:
            return
        try:
            _transfer(client, url, part, offset)
        except httpx.TransportError as error:
            received = part.received()
            if attempt == ATTEMPTS_PER_URL or received <= offset:
                stalled = isinstance(error, httpx.TimeoutException)
                reason = f"nothing came for {part.read_timeout:g} s" if stalled else error
                raise DownloadError(f"the transfer broke off after {received} bytes: {reason}") from error
        else:
            return


def _transfer(client: httpx.Client, url: str, part: PartFile, offset: int) -> None:
    response, offset = _open_at(client, url, part, offset)
    with closing(response):
        announced = response.headers.get("Content-Length", "")
        total = offset + int(announced) if announced.isdecimal() else None
        if total is not None and part.size is not None and not part.size <= total <= part.most_bytes:
            raise DownloadError(f"the server announces {total} bytes, but the file has {part.size}")
        if not offset:
            part.discard()
            part.validator.write_text(_validator(response), encoding="utf-8")
        with part.path.open("ab") as out, _progress_bar(part, url, total, offset) as advance:
            for chunk in response.iter_raw():
                out.write(chunk)
                advance(len(chunk))
                if out.tell() > part.most_bytes:
                    raise DownloadError(f"the server sends more than the {part.size} bytes of the file")
            out.flush()
            os.fsync(out.fileno())


def _open_at(client: httpx.Client, url: str, part: PartFile, offset: int) -> tuple[httpx.Response, int]:
    """Open the transfer at `offset` if the server can, else at the beginning; return where it starts."""
    if offset:
        headers = {"Range": f"bytes={offset}-"}
        if part.validator.exists() and (validator := part.validator.read_text(encoding="utf-8")):
            headers["If-Range"] = validator
        response = _open(client, url, part, headers)
        if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            return response, offset
        if response.status_code == 200:  # no ranges here, or the file has changed since
            return response, 0
        response.close()
        if response.status_code not in (206, 416):
            raise DownloadError(_status(response))
        # The part file is no beginning of this server's file: ask for all of it.
    response = _open(client, url, part, {})
    if response.status_code != 200:
        response.close()
        raise DownloadError(_status(response))
    return response, 0


def _open(client: httpx.Client, url: str, part: PartFile, headers: dict[str, str]) -> httpx.Response:
    """Send the request from a thread, because the name resolver of the system obeys no timeout."""
    outcome: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()
    connected = threading.Event()

    def trace(event: str, _details: object) -> None:
        if event.endswith("send_request_headers.started"):
            connected.set()

    def send() -> None:
        try:
            request = client.build_request("GET", url, headers=headers, extensions={"trace": trace})
            outcome.put(client.send(request, stream=True))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, RuntimeError) as error:
            outcome.put(error)
        connected.set()

    threading.Thread(target=send, daemon=True).start()
    patience = 3 * part.connect_timeout  # the name, then perhaps an IPv6 and an IPv4 address
    if not connected.wait(patience):
        raise HostUnreachable(f"cannot reach {urlsplit(url).hostname}: no connection within {patience:g} s")
    try:
        result = outcome.get(timeout=patience + part.read_timeout)
    except queue.Empty:
        result = httpx.ReadTimeout("")
    if isinstance(result, httpx.Response):
        return result
    raise _explained(result, url) from result


def _explained(error: Exception, url: str) -> DownloadError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return HostUnreachable(f"cannot reach {error.request.url.host}: {error}")
    if isinstance(error, httpx.TimeoutException):
        return DownloadError(f"{urlsplit(url).hostname} accepted the connection, but did not answer")
    return DownloadError(f"{type(error).__name__}: {error}")


def _status(response: httpx.Response) -> str:
    return f"the server answered {response.status_code} {response.reason_phrase}".strip()


def _validator(response: httpx.Response) -> str:
    etag = str(response.headers.get("ETag", ""))
    # If-Range must not carry a weak ETag (RFC 9110, section 13.1.5).
    return etag if etag and not etag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


@contextmanager
def _progress_bar(part: PartFile, url: str, total: int | None, offset: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not (part.progress and console.is_terminal):
        verb = f"Resuming at byte {offset} of" if offset else "Downloading"
        part.say(f"{verb} {part.name}{'' if total is None else f' ({total / 1e6:.1f} MB)'} from {url}")
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(part.name, total=total, completed=offset)
        yield lambda count: bar.advance(task, count)
