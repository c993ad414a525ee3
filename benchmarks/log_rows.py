"""How many bytes an answer takes on the wire, and in the prediction log: what docs/system-design.md reckons with.

PYTHONPATH=scripts .venv/bin/python benchmarks/log_rows.py
"""

import argparse
import http.client
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from inputs import inputs_of
from record import RESULTS, finish
from rich.console import Console
from serving_cost import service

from portfolio_shared.evaluation.tables import terminal_table
from processes import HOST

PROJECTS = ("housing", "recommender", "image-classifier")
SETTLE_SECONDS = 1.1  # twice what the writer waits


def main() -> int:
    """Measure, print, write `results/log_rows.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path(".state/bundles"), help="folder of the models")
    parser.add_argument("--requests", type=int, default=1000, help="of each project (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS / "log_rows.json")
    options = parser.parse_args()
    rows = {name: measure(name, options.bundles / name, options.requests) for name in PROJECTS}
    cells = [[name, f"{row['answer_bytes']:,}", f"{row['log_bytes']:,}"] for name, row in rows.items()]
    console = Console()
    console.print(terminal_table("Bytes of an answer", ["project", "on the wire", "in the log"], cells))
    return finish(console, options.output, {"requests": options.requests, "rows": rows}, [])


def measure(project: str, bundle: Path, requests: int) -> dict[str, int]:
    """Return the bytes of the request and of its answer, and those of the log's file, for each answer."""
    request = inputs_of(project, bundle).request
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.db"
        with service(project, bundle, PORTFOLIO_PREDICTION_LOG=f"sqlite:///{file}") as (_, port):
            connection = http.client.HTTPConnection(HOST, port, timeout=30)
            for _ in range(requests):
                connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
                response = connection.getresponse()
                answer = response.read()
                if response.status != http.client.OK:
                    raise SystemExit(f"{request.path} answered {response.status}: {answer[:300]!r}")
            connection.close()
            time.sleep(SETTLE_SECONDS)
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (kept,) = database.execute("SELECT count(*) FROM predictions").fetchone()
        if kept != requests:
            raise SystemExit(f"{project}: {kept} of {requests} rows are in the log")
        size = file.stat().st_size
    return {
        "request_bytes": len(request.body),
        "answer_bytes": len(answer),
        "log_bytes": round(size / requests),
    }


if __name__ == "__main__":
    sys.exit(main())
