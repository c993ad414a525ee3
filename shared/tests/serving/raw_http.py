"""Requests as bytes, for what no HTTP library would send, and the answers to them."""

import json
import socket
import time

POST = b"POST /v1/raw HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
LAST = b"Connection: close\r\n\r\n"


def connect(port):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that what is not read stays with the server
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    return client


def until_closed(client):
    received = b""
    while part := client.recv(65536):
        received += part
    return received


def talk(port, *parts, pause=0.0):
    """Send parts and return the statuses and bodies of all that is answered until the connection is closed."""
    with connect(port) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        return answers(until_closed(client))


def answers(received):
    """Return status, headers and body of each answer."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        found.append((int(status.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return found


def assert_refused(answer, status):
    code, headers, body = answer
    assert code == status, body
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert json.loads(body)["instance"] == headers["x-request-id"]
