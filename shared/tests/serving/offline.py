"""Connections to a service without a network, on a clock that the test moves."""

import asyncio
from types import SimpleNamespace

import uvicorn
from demo_service import DemoSettings, create_app
from raw_http import answers
from uvicorn.server import ServerState

from portfolio_shared.serving.protocol import BoundedProtocol


class Wire(asyncio.Transport):
    """What a client sees of a connection: all that it is sent, and whether it is closed for it."""

    def __init__(self, service, address):
        names = SimpleNamespace(getpeername=lambda: (address, 1), getsockname=lambda: ("127.0.0.1", 1))
        super().__init__({"socket": SimpleNamespace(**vars(names), setsockopt=lambda *_: None)})
        self.sent, self.closed, self.ended = b"", False, False
        self._service = service
        self.protocol = BoundedProtocol(service.config, service.state, {}, service)
        service.run(self.protocol.connection_made, self)

    @property
    def statuses(self):
        return [status for status, _, _ in answers(self.sent.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""))]

    def say(self, data):
        if not self.closed:
            self._service.run(self.protocol.data_received, data)

    def write(self, data):
        self.sent += data

    def close(self):
        if not self.closed:
            self.closed = self.ended = True
            self._service.loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def can_write_eof(self):
        return True

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self): ...

    def resume_reading(self): ...


class Service:
    """A service whose app answers with the status of a refusal or 200, on /v1/held when `released`; a loop's clock."""

    def __init__(self, web, **settings):
        self.loop, self.now, self.wires = asyncio.new_event_loop(), 1000.0, []
        app = create_app(DemoSettings(**settings), web=web)
        self.connections, self.admission = app.state.connections, app.state.admission
        self.config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
        self.config.load()
        self.config.loaded_app, self.state, self.released = self._answer, ServerState(), asyncio.Event()

    def __getattr__(self, name):
        return getattr(self.loop, name)

    def time(self):
        return self.now

    def connect(self, address="192.0.2.1"):
        self.wires.append(wire := Wire(self, address))
        return wire

    def run(self, call, *arguments):
        """Call something on the loop, and let what follows from it happen."""

        async def called():
            call(*arguments)
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(called())

    def wait(self, seconds):
        """Let time pass, in which the connections are looked at four times a second."""
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            for wire in self.wires:
                if not wire.closed:
                    self.run(wire.protocol.check, self.now)

    async def _answer(self, scope, receive, send):
        refusal = scope["state"].get("refusal")
        if scope["path"] == "/v1/held":
            await self.released.wait()
        more = refusal is None
        while more:
            message = await receive()
            more = message.get("more_body", False)
        status = refusal.status_code if refusal else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
