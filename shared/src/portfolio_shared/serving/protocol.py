"""HTTP/1.1 on one connection, within limits: what a client may send, in what time, and how long it may be silent."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools (llhttp), within limits."""
