"""CPU of one house in the app alone, without a socket: of this checkout, and of others that are named, in turns.

With `git worktree add DIR COMMIT` it shows what a change has bought: each checkout is a process, and they take turns,
so whatever else the machine does falls on all of them. The time is that of all threads of the process.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.console import Console

from housing.config import ServeSettings
from housing.serving.app import create_app
from housing.serving.schemas import EXAMPLE_REQUEST
from portfolio_shared.evaluation.tables import terminal_table
from portfolio_shared.serving.logs import configure_logging
from portfolio_shared.serving.schemas import ExampleRequest
from project_table import ROOT

TURNS, REQUESTS, AT_ONCE = 5, 200, 8
LEAST_SHARE = 0.03
EXPLAINED = replace(EXAMPLE_REQUEST, body=json.dumps(json.loads(EXAMPLE_REQUEST.body) | {"explain": True}).encode())
TOGETHER = f"one of {AT_ONCE} houses at once"
KINDS = {
    "/healthz": ExampleRequest("/healthz", b""),
    "/readyz": ExampleRequest("/readyz", b""),
    "one house": EXAMPLE_REQUEST,
    "one house, explained": EXPLAINED,
    TOGETHER: EXAMPLE_REQUEST,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", nargs="*", type=Path, help="folders of other commits")
    parser.add_argument("--rounds", type=int, default=3, help="of all checkouts (default: %(default)s)")
    parser.add_argument("--bundle", type=Path, default=Path(".state/bundles/housing"), help="folder of the model")
    parser.add_argument("--profile", action="store_true", help="say which functions of this checkout one house needs")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profile:
        with redirect_stdout(sys.stderr):
            shares = asyncio.run(profile(options.bundle))
        rows = [[name, f"{100 * share:.0f} %"] for name, share in shares.items()]
        Console().print(
            terminal_table("Share of one house, by cProfile", ["function, what it calls included", "share"], rows)
        )
        return
    if options.alone:
        with redirect_stdout(sys.stderr):  # whose lines are part of what is measured
            measured = asyncio.run(measure(options.bundle))
        sys.stdout.write(json.dumps(measured))
        return
    checkouts = [*options.checkouts, ROOT]
    rounds = [[run(checkout, options.bundle) for checkout in checkouts] for _ in range(options.rounds)]
    rows = [
        [checkout.name, *(f"{statistics.median(each[i][kind] for each in rounds):.0f}" for kind in KINDS)]
        for i, checkout in enumerate(checkouts)
    ]
    title = f"CPU of a request without a socket, us: medians of {options.rounds} rounds"
    Console().print(terminal_table(title, ["checkout", *KINDS], rows))


def run(checkout: Path, bundle: Path) -> dict[str, float]:
    """Measure a checkout in a process of its own."""
    code = os.pathsep.join(str(checkout.resolve() / part) for part in ("shared/src", "projects/housing/src"))
    path = os.pathsep.join([code, str(ROOT / "scripts")])
    command = [sys.executable, __file__, "--alone", "--bundle", str(bundle)]
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


async def measure(bundle: Path) -> dict[str, float]:
    """Return the microseconds of each kind of request, which take turns."""
    configure_logging("info")
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(ServeSettings(bundle=bundle, prediction_log=f"sqlite:///{folder}/log.db"))
        async with app.router.lifespan_context(app):
            for _ in range(TURNS):
                for name, request in KINDS.items():
                    started = time.process_time()
                    n = AT_ONCE if name == TOGETHER else 1
                    for _ in range(REQUESTS // n):
                        await asyncio.gather(*(ask(app, request) for _ in range(n)))
                    seconds[name].append((time.process_time() - started) / REQUESTS)
    return {name: 1e6 * statistics.median(values[1:]) for name, values in seconds.items()}


async def profile(bundle: Path) -> dict[str, float]:
    """Return the share of the time of one house that each of our functions takes, with what it calls."""
    configure_logging("info")
    app = create_app(ServeSettings(bundle=bundle, prediction_log="off"))
    async with app.router.lifespan_context(app):
        for _ in range(REQUESTS):
            await ask(app, EXAMPLE_REQUEST)
        with cProfile.Profile() as profiler:
            for _ in range(5 * REQUESTS):
                await ask(app, EXAMPLE_REQUEST)
    stats: dict[Any, Any] = vars(pstats.Stats(profiler))["stats"]
    seconds = {f"{Path(file).stem}.{name}": row[3] for (file, _, name), row in stats.items() if "/src/" in file}
    whole = seconds["middleware.__call__"] + seconds["pool._compute_here"]
    shares = {name: value / whole for name, value in sorted(seconds.items(), key=itemgetter(1), reverse=True)}
    return {name: share for name, share in shares.items() if share > LEAST_SHARE}


async def ask(app: Any, request: ExampleRequest) -> None:
    """Send a request to an app as a server does."""
    headers = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % len(request.body))]
    if request.body:
        headers.append((b"content-type", request.content_type.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": "POST" if request.body else "GET",
        "path": request.path,
        "query_string": b"",
        "headers": headers,
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise SystemExit(f"{request.path} answered {sent}")


if __name__ == "__main__":
    main()
