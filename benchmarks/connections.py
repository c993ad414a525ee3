"""What clients that send too much, too slowly, or do not read do to a service, and to those who ask it meanwhile.

Each attack meets a service of its own with default settings. Beside it a witness asks /healthz every 50 ms on a new
connection; the peak of the resident memory is that of the whole attack. With --before, the checkout of another commit
is attacked too, and the CPU of /healthz is compared in turns. Prints rows for docs/reliability.md. Linux only.
"""

import argparse
import http.client
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from prediction_log_cost import clock_of
from record import RESULTS, check_limits, finish
from rich.console import Console
from serving_cost import ask, resident_mb, service, upload

from housing.serving.schemas import EXAMPLE_REQUEST
from portfolio_shared.serving.schemas import ExampleRequest
from processes import HOST
from project_table import ROOT

SECONDS = 20.0  # that a slow or silent client is given
RESIDENT_MB = {"housing": 300.0, "image-classifier": 1000.0}
WITNESS_MS = 1000.0
CPU_RATIO = 1.05
OPEN_FILES = 1024
HEALTH = ExampleRequest("/healthz", b"")
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
Attack = Callable[[int, ExitStack], str]


def main() -> int:
    """Attack, print, write `results/connections.json`; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--before", type=Path, help="checkout of another commit")
    parser.add_argument("--only", nargs="*", choices=[*ATTACKS, "cpu"], default=[*ATTACKS, "cpu"])
    parser.add_argument("--output", type=Path, default=RESULTS / "connections.json")
    options = parser.parse_args()
    checkouts = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    console, rows, measured, limits = Console(), [], {}, {}
    for name in options.only:
        if name == "cpu":
            continue
        project, attack = ATTACKS[name]
        row = {side: attacked(project, options.bundles / project, checkouts[side], attack) for side in checkouts}
        rows.append({"attack": name, "project": project, **row})
        console.print("| " + " | ".join([name, *(told(seen) for seen in row.values())]) + " |", soft_wrap=True)
        measured |= {f"{name}, MB": row["now"]["resident_mb"], f"{name}, others ms": row["now"]["witness_ms"]}
        limits |= {f"{name}, MB": RESIDENT_MB[project], f"{name}, others ms": WITNESS_MS}
    if options.before and "cpu" in options.only:
        ratios = cpu_ratios(options.bundles / "housing", checkouts)
        measured["CPU of /healthz, ratio to before"] = statistics.median(ratios)
        limits["CPU of /healthz, ratio to before"] = CPU_RATIO
    recorded = {"rows": rows, "measured": measured}
    return finish(console, options.output, recorded, check_limits(measured, limits))


def attacked(project: str, bundle: Path, checkout: Path, attack: Attack) -> dict[str, Any]:
    """Return what an attack saw, the largest memory, and what the witness saw."""
    with serving(project, bundle, checkout) as (pid, port), ExitStack() as stack:
        waits: list[float] = []
        over = threading.Event()
        witness = threading.Thread(target=look, args=(port, waits, over))
        witness.start()
        try:
            seen = attack(port, stack)
        finally:
            over.set()
            witness.join()
        lost = sum(wait == float("inf") for wait in waits)
        answered = [wait for wait in waits if wait < float("inf")] or [0.0]
        return {
            "seen": seen,
            "resident_mb": round(resident_mb(pid)),
            "witness_ms": round(1000 * max(answered)),
            "witness_lost": lost,
            "witness_asked": len(waits),
        }


def told(seen: dict[str, Any]) -> str:
    """Return what was seen, in words."""
    lost = f", {seen['witness_lost']} of {seen['witness_asked']} unanswered" if seen["witness_lost"] else ""
    return f"{seen['seen']}; {seen['resident_mb']} MB; others waited {seen['witness_ms']} ms at most{lost}"


@contextmanager
def serving(project: str, bundle: Path, checkout: Path) -> Iterator[tuple[int, int]]:
    """Run the service of a checkout; its process and port."""
    code = [checkout / "shared/src", checkout / "projects" / project / "src"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))  # the service's: what most systems give
    with service(project, bundle, PYTHONPATH=os.pathsep.join(map(str, code))) as (process, port):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        yield process.popen.pid, port


def look(port: int, waits: list[float], over: threading.Event) -> None:
    """Be the witness."""
    while not over.wait(0.05):
        started = time.perf_counter()
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=20)
            ask(connection, HEALTH)
            waits.append(time.perf_counter() - started)
        except (OSError, http.client.HTTPException, SystemExit):
            waits.append(float("inf"))
        finally:
            connection.close()


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


def cpu_ratios(bundle: Path, checkouts: dict[str, Path]) -> list[float]:
    """Return the CPU of a request to /healthz, now to before, of blocks in turns."""
    with ExitStack() as stack:
        running = {side: stack.enter_context(serving("housing", bundle, path)) for side, path in checkouts.items()}
        connections = {side: http.client.HTTPConnection(HOST, port, timeout=30) for side, (_, port) in running.items()}
        ratios = []
        for _ in range(21):
            used = {}
            for side in (*running, *reversed(running)):
                clock = clock_of(running[side][0])
                started = time.clock_gettime(clock)
                for _ in range(300):
                    ask(connections[side], HEALTH)
                used[side] = used.get(side, 0.0) + time.clock_gettime(clock) - started
            ratios.append(used["now"] / used["before"])
        return ratios[1:]


if __name__ == "__main__":
    sys.exit(main())
