"""Two retrainings of a model never run at once: a lock on this machine, and a tag on the registered model for others.

MLflow writes a tag whatever stood there. So whoever wrote it looks again after a moment: the last who wrote goes on.
"""

import logging
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from portfolio_shared.tracking.client import TrackingUnavailable, tracking_client
from portfolio_shared.tracking.registry import ensure_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

TAG = "retraining"
STALE_SECONDS = 6 * 3600.0
"""Age from which a tag is one of a retraining that died; none takes so long."""
SETTLE_SECONDS = 2.0
"""For so long a tag must stand: far longer than it takes between two requests that look and write."""


class TakenError(RuntimeError):
    """Another retraining runs; the message says since when, where, and what to do if it does not."""


@contextmanager
def only_one(name: str, folder: Path, *, tracking_uri: str) -> Iterator[None]:
    """Keep other retrainings of the model `name` away for the length of a ``with`` block.

    Parameters
    ----------
    folder
        Of the lock, `NAME.lock`, and of a note which tag was written under it: the tag of a process of this machine
        that was killed is no obstacle to the next one here.

    Raises
    ------
    TakenError
        If another one runs, here or elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{name}.turn"
    try:
        lock = FileLock(folder / f"{name}.lock").acquire(timeout=0)
    except Timeout as error:
        raise TakenError(f"another retraining of {name} runs on this machine") from error
    with lock:
        with tracking_client(tracking_uri) as client:
            ensure_model(client, name)
            _look(client, name, note)
        mine = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S%z} {socket.gethostname()} {secrets.token_hex(4)}"
        note.write_text(mine, encoding="utf-8")
        try:
            _take(name, mine, tracking_uri)
            yield
        finally:
            _give_back(name, mine, note, tracking_uri)


def _look(client: "MlflowClient", name: str, note: Path) -> None:
    """Raise TakenError if the tag is of a retraining that may still run elsewhere."""
    before = _tag(client, name)
    left_here = note.read_text(encoding="utf-8") if note.is_file() else ""
    if before and before != left_here and time.time() - _seconds(before) < STALE_SECONDS:
        raise TakenError(_who(name, before))


def _take(name: str, mine: str, tracking_uri: str) -> None:
    """Write the tag, and return once it has stood for a moment."""
    with tracking_client(tracking_uri) as client:
        client.set_registered_model_tag(name, TAG, mine)
        time.sleep(SETTLE_SECONDS)
        now = _tag(client, name)
    if now != mine:
        raise TakenError(_who(name, now))


def _give_back(name: str, mine: str, note: Path, tracking_uri: str) -> None:
    """Delete the tag; where the server is away, the note lets the next retraining of this machine overwrite it."""
    try:
        with tracking_client(tracking_uri) as client:
            if _tag(client, name) == mine:
                client.delete_registered_model_tag(name, TAG)
    except TrackingUnavailable as error:
        logger.warning("the tag %s of %s stays: %s", TAG, name, error)
    else:
        note.unlink()


def _tag(client: "MlflowClient", name: str) -> str:
    return str(client.get_registered_model(name).tags.get(TAG, ""))


def _seconds(tag: str) -> float:
    """Return when a tag was written, in seconds since 1970; long ago for one that nobody here wrote."""
    try:
        return datetime.fromisoformat(tag.partition(" ")[0]).timestamp()
    except ValueError:
        return 0.0


def _who(name: str, tag: str) -> str:
    since, _, rest = tag.partition(" ")
    way = f"if it died, delete the tag {TAG} of the registered model, or wait until the tag is 6 hours old"
    return f"another retraining of {name} runs since {since} on {rest.partition(' ')[0]}; {way}"
