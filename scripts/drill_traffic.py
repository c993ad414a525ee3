"""The clients of a drill: they ask, say what came true, and go on asking while the model changes."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

from compose_stack import key_header, require, require_equal
from drill_place import wait
from drill_scenario import Call

THREADS = 4
PAUSE_SECONDS = 0.01  # of those who ask while a command runs, which needs the processor as well

Truth = Callable[[Call, Mapping[str, Any], int], object | None]
Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class Clients:
    """Those who ask one service."""

    http: httpx.Client

    def post(self, call: Call) -> httpx.Response:
        """Send one request."""
        headers = {"Content-Type": call.content_type, "X-Subject": call.subject}
        return self.http.post(call.path, content=call.body, headers=headers)

    def ask(self, calls: Sequence[Call]) -> Answers:
        """Send requests in a few threads; every one has to be answered."""
        with ThreadPoolExecutor(THREADS) as pool:
            responses = list(pool.map(self.post, calls))
        refused = [response for response in responses if response.status_code != httpx.codes.OK]
        said = "; ".join(f"{response.status_code} {response.text[:200]}" for response in refused[:1])
        require(not refused, f"expected {len(calls)} answers, {len(refused)} requests failed: {said}")
        return [response.json() for response in responses]

    def tell(self, calls: Sequence[Call], answers: Answers, truth: Truth) -> int:
        """Say what came true of each answer, on behalf of who asked; return of how many something is known."""
        known = [
            (call, {"id": answer["id"], "index": 0, "truth": said})
            for call, answer in zip(calls, answers, strict=True)
            if (said := truth(call, answer, 0)) is not None
        ]
        with ThreadPoolExecutor(THREADS) as pool:
            responses = list(pool.map(self._tell_one, known))
        refused = [response for response in responses if response.status_code != httpx.codes.ACCEPTED]
        said = "; ".join(f"{response.status_code} {response.text[:200]}" for response in refused[:1])
        require(not refused, f"expected 202 for {len(known)} truths, {len(refused)} were not kept: {said}")
        return len(known)

    def _tell_one(self, known: tuple[Call, object]) -> httpx.Response:
        call, body = known
        return self.http.post("/v1/feedback", json=body, headers={"X-Subject": call.subject})

    def model(self) -> dict[str, Any]:
        """Return what the service says of its model."""
        response = self.http.get("/v1/model")
        require_equal("status of /v1/model", response.status_code, httpx.codes.OK)
        described: dict[str, Any] = response.json()
        return described

    def wait_for_version(self, version: str) -> None:
        """Wait until the service answers with a version."""
        wait(f"version {version} answers", lambda: bool(self.model()["version"] == version))

    def count(self, metric: str, label: str = "") -> float:
        """Return the sum of a counter's series that have a label."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{metric}{{") and label in line)


@dataclass
class Seen:
    """What clients saw while the model changed: the versions that answered, in order, and what failed."""

    versions: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@contextmanager
def meanwhile(clients: Clients, calls: Sequence[Call]) -> Iterator[Seen]:
    """Ask one request after the other, again and again, for the length of a ``with`` block."""
    seen, end = Seen(), threading.Event()

    def ask() -> None:
        for call in cycle(calls):
            if end.wait(PAUSE_SECONDS):
                return
            try:
                response = clients.post(call)
            except httpx.HTTPError as error:
                seen.failed.append(repr(error))
                continue
            if response.status_code == httpx.codes.OK:
                seen.versions.append(response.json()["model"]["version"])
            else:
                seen.failed.append(f"{response.status_code} {response.text[:200]}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def require_swap(seen: Seen, before: str, after: str) -> str:
    """Require that no request failed and that answers went from one version to another, once; return it in words."""
    require(not seen.failed, f"expected every request to be answered, {len(seen.failed)} failed: {seen.failed[:1]}")
    n = seen.versions.count(before)
    expected = [before] * n + [after] * (len(seen.versions) - n)
    require(0 < n < len(expected), f"expected answers of {before} and then of {after}, found {set(seen.versions)}")
    require(seen.versions == expected, f"expected answers of {before} and then of {after}, found them mixed")
    return f"{len(expected)} requests meanwhile, none failed"


def client_of(url: str) -> httpx.Client:
    """Return a client that nothing stands between."""
    limits = httpx.Limits(max_connections=THREADS + 2)
    return httpx.Client(base_url=url, headers=key_header(), timeout=30, trust_env=False, limits=limits)
