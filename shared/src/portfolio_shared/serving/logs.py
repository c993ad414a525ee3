"""Logs as JSON, one object a line, in 60 lines of the standard library: no package is needed for that.

A container platform can read them without a pattern for every library.
"""

import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from pydantic_core import to_json

from portfolio_shared.addresses import without_secrets

_access = logging.getLogger("portfolio_shared.access")
_request = logging.LogRecord(_access.name, logging.INFO, __file__, 0, "request", (), None)  # what all lines share


class JsonFormatter(logging.Formatter):
    """One log record as one line of JSON.

    Fields of its own go under ``extra={"fields": {...}}``; a traceback becomes the field `traceback`. Line breaks and
    control characters are escaped, so no text in a message can forge another line. Secrets of addresses are hidden,
    whichever library wrote them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; times are UTC."""
        line = {
            "time": f"{_second(int(record.created))}.{int(record.created % 1 * 1000):03d}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": "request" if record.name == _access.name else without_secrets(record.getMessage()),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = without_secrets(self.formatException(record.exc_info))
        return to_json(line, ensure_ascii=True, fallback=str).decode()


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """Return the beginning of a time of UTC, which is that of many lines."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


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
        From the end of the request to the end of the response; logged as milliseconds.
    """
    if not _access.isEnabledFor(logging.INFO):
        return
    duration = round(seconds * 1000, 3)
    record = logging.LogRecord.__new__(logging.LogRecord)  # `info` would look for who called it, which is known
    fields = {**ids, "method": method, "route": route, "status": status, "duration_ms": duration}
    vars(record).update(vars(_request), created=time.time(), fields=fields)
    _access.handle(record)
