"""The attacks of `connections.py`: each takes a port, opens what it wants in a stack, and returns what it saw."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO

from PIL import Image
from serving_cost import ask, upload

from housing.serving.schemas import EXAMPLE_REQUEST
from processes import HOST

SECONDS = 20.0  # that a slow or silent client is given
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
Attack = Callable[[int, ExitStack], str]


def connect(port: int, stack: ExitStack) -> socket.socket:
    """Return a connection that is closed with the attack."""
    return stack.enter_context(socket.create_connection((HOST, port), timeout=20))


def status(client: socket.socket, n_bytes: int = 4096) -> str:
    """Return the status of the next answer, or how the connection ended."""
    try:
        return client.recv(n_bytes)[9:12].decode() or "closed"
    except OSError as error:
        return type(error).__name__


def still_open(clients: list[socket.socket]) -> int:
    """Return on how many connections nothing has arrived, not even the end."""
    count = 0
    for client in clients:
        client.setblocking(False)  # noqa: FBT003
        try:
            client.recv(1)
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


def pour(client: socket.socket, first: bytes, part: bytes, n_parts: int) -> str:
    """Send until it is all out or refused; return how much went out and the answer."""
    client.sendall(first)
    sent = 0
    try:
        for _ in range(n_parts):
            client.sendall(part)
            sent += len(part)
    except OSError:
        pass
    return f"{sent / 1e6:.0f} MB sent, answer: {status(client)}"


def many_headers(port: int, stack: ExitStack) -> str:
    """Send 100 MB of headers."""
    return pour(connect(port, stack), GET, b"".join(b"X-%d: %s\r\n" % (i, b"a" * 93) for i in range(1000)), 1000)


def one_header(port: int, stack: ExitStack) -> str:
    """Send one header of 100 MB."""
    return pour(connect(port, stack), GET + b"X: ", b"a" * 100_000, 1000)


def digits(port: int, stack: ExitStack) -> str:
    """Announce a length of 5,001 digits."""
    client = connect(port, stack)
    client.sendall(POST + b"Content-Length: " + b"0" * 5000 + b"4\r\n\r\nabcd")
    return f"answer: {status(client)}"


def java(port: int, stack: ExitStack) -> str:
    """Ask as Java's HttpClient does by default: it offers h2c, and sends the body after the head."""
    client = connect(port, stack)
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    client.sendall(POST + offer + b"Upgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(EXAMPLE_REQUEST.body))
    client.sendall(EXAMPLE_REQUEST.body)
    return f"answer: {status(client)}"


def silent(port: int, stack: ExitStack) -> str:
    """Hold 10 connections: idle, with half a head, with half a body."""
    parts = [b""] * 4 + [GET] * 3 + [POST + b"Content-Length: 100\r\n\r\n{"] * 3
    clients = [connect(port, stack) for _ in parts]
    for client, part in zip(clients, parts, strict=True):
        client.sendall(part)
    time.sleep(SECONDS)
    return f"{still_open(clients)} of {len(clients)} open after {SECONDS:g} s"


def uploads(port: int, stack: ExitStack) -> str:
    """Let 8 clients send a picture at one byte a second, and ask with 122 whole ones."""
    path, over = "/v1/classifications", threading.Event()
    stream = BytesIO()
    Image.effect_noise((500, 375), 64).convert("RGB").save(stream, "JPEG", quality=90)
    whole = upload(stream.getvalue(), path)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {whole.content_type}\r\n".encode()
    clients = [connect(port, stack) for _ in range(8)]
    for client in clients:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(whole.body))

    def drip() -> None:
        for i in range(len(whole.body)):
            for client in clients:
                try:
                    client.sendall(whole.body[i : i + 1])
                except OSError:
                    continue
            if over.wait(1.0):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    answered = 0
    for _ in range(122):
        try:
            ask(http.client.HTTPConnection(HOST, port, timeout=30), whole)
            answered += 1
        except (OSError, http.client.HTTPException, SystemExit):
            pass
        time.sleep(0.1)
    over.set()
    thread.join()
    return f"{answered} of 122 honest pictures answered"


def unread(port: int, stack: ExitStack) -> str:
    """Let 50 clients ask for 1,000 houses each, again where they are refused, and read no more than the first bytes."""
    house = json.loads(EXAMPLE_REQUEST.body)["houses"][0]
    body = json.dumps({"houses": [house] * 1000}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    clients: list[socket.socket] = []
    ends = time.monotonic() + 2 * SECONDS
    while len(clients) < 50 and time.monotonic() < ends:
        client = connect(port, stack)
        client.sendall(request)
        if status(client, 12) == "200":
            clients.append(client)
        else:
            client.close()
            time.sleep(0.1)
    time.sleep(SECONDS)
    return f"{sum(map(takes_more, clients))} of {len(clients)} open after {SECONDS:g} s"


def takes_more(client: socket.socket) -> bool:
    """Return whether the service has not closed a connection: then it takes what is sent."""
    try:
        client.sendall(b"\r\n")
        time.sleep(0.01)
        client.sendall(b"\r\n")
    except OSError:
        return False
    return True


def many(port: int, stack: ExitStack) -> str:
    """Open twice as many connections as the service has open files, and hold them."""
    clients = [connect(port, stack) for _ in range(2000)]
    time.sleep(SECONDS / 2)
    return f"{still_open(clients)} of {len(clients)} open after {SECONDS / 2:g} s"


def advance(port: int, stack: ExitStack) -> str:
    """Send 20 times 250 kB of requests without reading an answer."""
    request = GET.replace(b"/healthz", b"/v1/model") + b"\r\n"
    for _ in range(20):
        client = connect(port, stack)
        client.settimeout(0.5)
        try:
            client.sendall(request * (250_000 // len(request)))
        except OSError:
            continue
    time.sleep(SECONDS / 2)
    return "all sent"


ATTACKS: dict[str, tuple[str, Attack]] = {
    "100 MB of headers": ("housing", many_headers),
    "a header of 100 MB": ("housing", one_header),
    "a Content-Length of 5,001 digits": ("housing", digits),
    "Java's HttpClient": ("housing", java),
    "10 silent or half-sent connections": ("housing", silent),
    "8 uploads at a byte a second": ("image-classifier", uploads),
    "50 clients that do not read": ("housing", unread),
    "2,000 connections, 1,024 open files": ("housing", many),
    "5 MB of requests in advance": ("housing", advance),
}
