"""Requests that end on time, and work that the end of a process does not wait for."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Deadline:
    """Cuts the connection of a request of httpx after some seconds, or when another thread says so.

    httpx limits the time of each read: a server that sends a byte now and then keeps its client for ever, and while
    the headers arrive nobody else has a say.

    Parameters
    ----------
    seconds
        That the ``with`` block may take. Name resolution is not cut: it has limits of its own.

    Attributes
    ----------
    extensions
        For the request.
    passed
        Whether the connection was cut; what has been read until then is not all.
    """

    def __init__(self, seconds: float) -> None:
        self.extensions = {"trace": self._trace}
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._changing = threading.Lock()
        self._timer = threading.Timer(max(seconds, 0.0), self.cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def cut(self) -> None:
        """Wake up whoever waits for the server."""
        with self._changing:
            self.passed = True
            for each in self._sockets:
                with suppress(OSError):  # it is closed already
                    socket.socket.shutdown(each, socket.SHUT_RDWR)  # TLS has a method of its own, which waits

    def _trace(self, _event: str, info: dict[str, Any]) -> None:
        info_of = getattr(info.get("return_value"), "get_extra_info", None)  # a connection, with or without TLS
        if info_of is not None:
            with self._changing:
                self._sockets.append(info_of("socket"))
            if self.passed:
                self.cut()


async def in_background(work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread that a process which ends does not wait for, unlike asyncio's own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None is a T here, if it is one

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - the caller's
            error = caught
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return await future
