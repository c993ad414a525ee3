"""Logs as JSON, one object a line, in 60 lines of the standard library: no package is needed for that.

A container platform can read them without a pattern for every library.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from portfolio_shared.addresses import without_secrets

_access = logging.getLogger("portfolio_shared.access")
_encode = json.JSONEncoder(default=str).encode  # json.dumps would make an encoder for every line


class JsonFormatter(logging.Formatter):
    """One log record as one line of JSON.

    Fields of its own go under ``extra={"fields": {...}}``; a traceback becomes the field `traceback`. Line breaks and
    control characters are escaped, so no text in a message can forge another line. Secrets of addresses are hidden,
    whichever library wrote them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; times are UTC."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return _encode(line)


def configure_logging(level: str) -> None:
    """Send the log records of this process, from `level` on, to one JSON handler on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # httpx writes a line for each look at the registry: that is every few seconds, for ever.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_request(ids: Mapping[str, str], *, method: str, route: str, status: int, seconds: float) -> None:
    """Write the line of one request. It has no path, no query and no payload: those may be about a person.

    Parameters
    ----------
    ids
        What the request is found by elsewhere: `request_id`, and where there are such, `prediction_id` and `trace_id`.
    route
        Template of the path, such as ``/v1/users/{user_id}``.
    seconds
        From the headers of the request to the end of the response; logged as milliseconds.
    """
    fields = {**ids, "method": method, "route": route, "status": status}
    _access.info("request", extra={"fields": {**fields, "duration_ms": round(seconds * 1000, 3)}})
