"""Shows the newest report at / and its gauges at /metrics: two files, to whoever may reach the port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from portfolio_shared.operations.publish import GAUGES, REPORT

FILES = {"/": (REPORT, "text/html; charset=utf-8"), "/metrics": (GAUGES, "text/plain; version=0.0.4; charset=utf-8")}
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
REQUEST_SECONDS = 10


@contextmanager
def page(folder: Path, address: tuple[str, int]) -> Iterator[int]:
    """Serve the files of a folder for the length of a ``with`` block; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS
        server_version, sys_version = "monitor", ""

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            name, kind = FILES.get(self.path.partition("?")[0], ("", "text/plain; charset=utf-8"))
            try:
                status, body = (200, (folder / name).read_bytes()) if name else (404, b"Here are / and /metrics.\n")
            except FileNotFoundError:
                status, body = 503, b"There is no report yet.\n"
            self.send_response(status)
            kind = kind if status == 200 else "text/plain; charset=utf-8"
            for header, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: whoever scrapes asks every few seconds."""

    with ThreadingHTTPServer(address, Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
