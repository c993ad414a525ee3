"""Bodies that arrive as gzip: unpacked in pieces while they are read, within the limit. Starlette only packs."""

import asyncio
import zlib

from starlette.types import Message, Receive

from portfolio_shared.serving.problems import ProblemError, echo

PIECE = 2**18  # bytes that are unpacked at a time: less than a millisecond, and then others get their turn
MAX_MEMBERS = 1000  # a gzip file may hold several; without a bound, empty ones would be cheap to send and dear to read
_GZIP = 16 + zlib.MAX_WBITS


def unpacked(receive: Receive, codings: str, *, limit: int) -> Receive:
    """Return the `receive` of the body as it was before the client packed it.

    Parameters
    ----------
    codings
        The values of Content-Encoding, separated by commas.
    limit
        Most bytes that the body may unpack to.

    Raises
    ------
    ProblemError
        415 for anything but gzip.
    """
    named = [coding for part in codings.split(",") if (coding := part.strip().lower()) not in ("", "identity")]
    if not named:
        return receive
    if named in (["gzip"], ["x-gzip"]):  # RFC 9110, 8.4.1.3: the same
        return GzipBody(receive, limit=limit)
    detail = (
        f"The body has the content encoding {echo(', '.join(named))}. Send it with Content-Encoding: gzip, or as it is."
    )
    raise ProblemError(415, detail, headers={"Accept-Encoding": "gzip"})


class GzipBody:
    """The `receive` of a request whose body is gzip (RFC 1952); each call gives at most `PIECE` bytes.

    Raises
    ------
    ProblemError
        413 for a body that unpacks to more than the limit: no more of it is unpacked than that and a piece. 400 for
        one that is damaged or ends too early.
    """

    def __init__(self, receive: Receive, *, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._packed = b""
        self._pending = False  # zlib may hold more than it has given
        self._empty = True
        self._arrived = False
        self._unpacked = 0
        self._complete = False

    async def __call__(self) -> Message:
        """Receive the next piece."""
        if self._complete:
            return await self._receive()  # waits until the client goes away
        while not (piece := self._next_piece()) and not self._arrived:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._packed = message.get("body", b"")
            self._empty = self._empty and not self._packed
            self._arrived = not message.get("more_body", False)
        self._unpacked += len(piece)
        if self._unpacked > self._limit:
            detail = f"The body unpacks to more than {self._limit} bytes, the limit. Split it into smaller requests."
            raise ProblemError(413, detail)
        if not piece:
            if not (self._member.eof or self._empty):
                raise _damaged("it ends too early")
            self._complete = True
        await asyncio.sleep(0)
        return {"type": "http.request", "body": piece, "more_body": not self._complete}

    def _next_piece(self) -> bytes:
        """Unpack what has arrived, up to a piece; nothing if more has to arrive first."""
        piece = b""
        while not piece and (self._packed or self._pending):
            if self._member.eof:
                self._members += 1
                if self._members > MAX_MEMBERS:
                    raise _damaged(f"it has more than {MAX_MEMBERS} members")
                self._member = zlib.decompressobj(_GZIP)
            try:
                piece = self._member.decompress(self._packed, PIECE)
            except zlib.error as error:
                raise _damaged(str(error).rpartition(": ")[2]) from error
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._pending = len(piece) == PIECE and not self._member.eof
        return piece


def _damaged(reason: str) -> ProblemError:
    return ProblemError(400, f"The body is not valid gzip: {reason}. Pack it anew, or send it as it is.")
