"""The head of a request: what two servers could read in two ways is refused, and the target taken apart."""

import urllib.parse
from collections.abc import Iterable, Sequence

import httptools

from portfolio_shared.serving.problems import ProblemError

Header = tuple[bytes, bytes]

FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host", b"expect"})
"""Headers that decide where a request ends and who it is for."""
MAX_HEADERS = 100
MAX_TARGET = 8000  # bytes, which is what RFC 9110, 4.1 asks of everyone
_MAX_DIGITS = 18  # of a length; what has more is no number of bytes


def check_framing(version: str, framing: Iterable[Header]) -> tuple[int | None, bool]:
    """Return the length of the body, None where chunks tell it, and whether the client first waits for a 100.

    Parameters
    ----------
    framing
        The headers whose names are in `FRAMING`.

    Raises
    ------
    ProblemError
        400 for what is ambiguous, 501 for what is not implemented.
    """
    length: int | None = 0
    hosts, expects_100 = 0, False
    for name, value in framing:
        if name == b"content-length":
            if len(value) > _MAX_DIGITS:
                raise ProblemError(400, f"Content-Length has {len(value)} digits.")
            length = int(value)
        elif name == b"host":
            hosts += 1
        elif name == b"expect":
            expects_100 = value.lower() == b"100-continue"
        elif version == "1.0":
            raise ProblemError(400, "Transfer-Encoding is not part of HTTP/1.0.")
        elif value.lower() != b"chunked":
            raise ProblemError(501, "The only transfer coding here is chunked. Content-Encoding: gzip packs a body.")
        else:
            length = None
    if hosts != 1 and (hosts or version == "1.1"):
        raise ProblemError(400, f"A request has one header Host; this one has {hosts or 'none'}.")
    return length, expects_100


def check_size(version: str, target: bytes, headers: Sequence[Header]) -> None:
    """Raise `ProblemError` for another version (505), a long target (414) or many headers (431)."""
    if version not in ("1.1", "1.0"):
        raise ProblemError(505, "Ask with HTTP/1.1.")
    if len(target) > MAX_TARGET:
        raise _long_target()
    if len(headers) > MAX_HEADERS:
        raise ProblemError(431, f"There are more than {MAX_HEADERS} headers, the limit.")


def too_long(target: bytes, limit: int) -> ProblemError:
    """Return the refusal of a head that does not end within the limit."""
    if len(target) > MAX_TARGET:
        return _long_target()
    return ProblemError(431, f"The headers, or what stands between parts of the body, exceed {limit} bytes, the limit.")


def _long_target() -> ProblemError:
    return ProblemError(414, f"The target is longer than {MAX_TARGET} bytes, the limit.")


def parts_of(target: bytes) -> tuple[str, bytes, bytes]:
    """Return path, path as it was sent, and query of a target.

    >>> parts_of(b"/a%20b?c=d")
    ('/a b', b'/a%20b', b'c=d')
    >>> parts_of(b"http://host/a")
    ('/a', b'/a', b'')
    """
    if target.startswith(b"/") and b"#" not in target:
        raw_path, _, query = target.partition(b"?")
    else:
        url = httptools.parse_url(target)
        raw_path, query = url.path or b"/", url.query or b""
    path = raw_path.decode("ascii")
    return (urllib.parse.unquote(path) if "%" in path else path), raw_path, query


def without_upgrade(method: bytes, target: bytes, version: str, headers: Iterable[Header]) -> bytes:
    r"""Return a head as it would have been without the offer to upgrade: else its body is lost.

    >>> without_upgrade(b"GET", b"/", "1.1", [(b"host", b"a"), (b"upgrade", b"h2c")])
    b'GET / HTTP/1.1\r\nhost: a\r\n\r\n'
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    lines += [b"%s: %s" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
