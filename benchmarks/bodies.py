"""What one body or one query costs a service, and those who ask it meanwhile.

Each body, sent for two seconds, meets a service of its own with default settings, as `connections.py` does it: beside
it a witness asks /healthz, and the peak of the resident memory is that of the whole attack. With --before, another
checkout is asked too. Prints rows for docs/reliability.md. Linux only.
"""

import argparse
import gzip
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from connections import RESIDENT_MB, attacked, described
from record import RESULTS, check_limits, finish
from rich.console import Console

from processes import HOST
from project_table import ROOT

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
WITNESS_MS = 250.0
SECONDS = 2.0
MB = 1_000_000


@dataclass(frozen=True)
class Sent:
    """A request of which little is expected."""

    project: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)

    def __call__(self, port: int, _: ExitStack) -> str:
        """Send it again and again, for a witness to see something, and return what came back and when at the latest."""
        until, longest, status = time.perf_counter() + SECONDS, 0.0, 0
        while (begun := time.perf_counter()) < until:
            connection = HTTPConnection(HOST, port, timeout=60)
            connection.request("POST" if self.body else "GET", self.path, self.body, dict(self.headers))
            answer = connection.getresponse()
            answer.read()
            connection.close()
            longest, status = max(longest, time.perf_counter() - begun), answer.status
        return f"{status} after {longest:.2f} s"


def fields(count: int) -> bytes:
    """Return as many fields of an object."""
    return b",".join(b'"%07x":0' % i for i in range(count))


def parts(count: int, head: bytes = b'Content-Disposition: form-data; name="files"; filename="a"') -> bytes:
    """Return a form with as many files of a byte."""
    return (b"--b\r\n" + head + b"\r\n\r\nx\r\n") * count + b"--b--\r\n"


PRICES, FILMS, BATCH, FEEDBACK, PICTURES = (
    f"/v1/{name}" for name in ("predictions", "recommendations", "recommendations/batch", "feedback", "classifications")
)
ZEROS = b'{"history":[' + b"0," * (MB // 2 - 10) + b"0]}"
SENT = {
    "1 MB of `history: [0, 0, ...]`": Sent("recommender", FILMS, ZEROS),
    "the same as gzip": Sent("recommender", FILMS, gzip.compress(ZEROS), JSON | {"Content-Encoding": "gzip"}),
    "1 MB of 1,000 histories of zeros": Sent(
        "recommender", BATCH, b'{"histories":[' + (b"[" + b"0," * 480 + b"0],") * 1000 + b"[]]}"
    ),
    "3.8 MB of unknown fields of a house": Sent("housing", PRICES, b'{"houses":[{' + fields(310_000) + b"}]}"),
    "1,000 houses of 190 unknown fields": Sent(
        "housing", PRICES, b'{"houses":[' + b",".join([b"{" + fields(190) + b"}"] * 1000) + b"]}"
    ),
    "1,000 houses of no field": Sent("housing", PRICES, b'{"houses":[' + b",".join([b"{}"] * 1000) + b"]}"),
    "1 MB of one field, 140,000 times": Sent("recommender", FILMS, b"{" + b'"k":0,' * 140_000 + b'"k":0}'),
    "4 MB of `[[],[],...]`": Sent("housing", PRICES, b"[" + b"[]," * 1_300_000 + b"[]]"),
    "4 MB of `[[[[`": Sent("housing", PRICES, b"[" * 3_900_000),
    "4 MB of a number's digits": Sent("housing", PRICES, b"9" * 3_900_000),
    "1 MB of a text in the place of a history": Sent("recommender", FILMS, b'{"history":"' + b"x" * 990_000 + b'"}'),
    "250 kB of films in feedback": Sent("recommender", FEEDBACK, b'{"truth":{"watched":[' + b"0," * 125_000 + b"0]}}"),
    "60 kB of film ids in a query": Sent("recommender", "/v1/films?ids=" + "1," * 30_000 + "1"),
    "60 kB of unknown names in a query": Sent("recommender", "/v1/films?" + "&".join(f"{i:x}" for i in range(11_000))),
    "a form of 20,000 files of a byte": Sent("image-classifier", PICTURES, parts(20_000), FORM),
    "a form with a part's header of 8 MB": Sent(
        "image-classifier", PICTURES, parts(1, b'Content-Disposition: form-data; name="' + b'\\"' * 4 * MB), FORM
    ),
    "a form with 8 MB of what looks like its boundary": Sent(
        "image-classifier", PICTURES, parts(1).replace(b"x\r\n", b"\r\n--" * 2 * MB, 1), FORM
    ),
}


def main() -> int:
    """Send, print, write `results/bodies.json`; return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--before", type=Path, help="checkout of another commit")
    parser.add_argument("--only", nargs="*", default=[""], help="words of which one is in what is sent")
    parser.add_argument("--output", type=Path, default=RESULTS / "bodies.json")
    options = parser.parse_args()
    checkouts = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    console, rows = Console(), []
    measured: dict[str, float] = {}
    limits: dict[str, float] = {}
    for name, sent in SENT.items():
        if not any(word in name for word in options.only):
            continue
        bundle = options.bundles / sent.project
        row = {side: attacked(sent.project, bundle, checkout, sent) for side, checkout in checkouts.items()}
        rows.append({"sent": name, "project": sent.project, **row})
        console.print("| " + " | ".join([name, *map(described, row.values())]) + " |", soft_wrap=True)
        measured |= {f"{name}, MB": row["now"]["resident_mb"], f"{name}, others ms": row["now"]["witness_ms"]}
        limits |= {f"{name}, MB": RESIDENT_MB.get(sent.project, 300.0), f"{name}, others ms": WITNESS_MS}
    return finish(console, options.output, {"rows": rows, "measured": measured}, check_limits(measured, limits))


if __name__ == "__main__":
    raise SystemExit(main())
