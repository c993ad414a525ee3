"""Serve the page until SIGTERM: python -m index."""

import json
import os
import signal
import sys
from pathlib import Path

import uvicorn

from index.page import create_app
from portfolio_shared.serving.logs import configure_logging


def main() -> None:
    """Listen on every address of the container, on port 8000; projects.json was written when the image was built."""
    configure_logging("info")
    table = json.loads(Path(__file__).with_name("projects.json").read_text(encoding="utf-8"))
    config = uvicorn.Config(
        create_app(os.environ, table),
        host="0.0.0.0",  # noqa: S104 - of a container; compose publishes it on 127.0.0.1
        port=8000,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    # After a graceful end uvicorn raises the signal again, which would make the exit code that of a killed process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
