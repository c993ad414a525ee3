"""A window of the prediction log: which versions answered, and a sample of what they were asked, as columns."""

from pathlib import Path

from portfolio_shared.operations.store import SQLITE, Store, StoreError, connect


def open_log(url: str) -> Store:
    """Open a prediction log that a service writes; unlike a service, make none.

    Raises
    ------
    StoreError
        If there is none, or it cannot be used.
    """
    if url.startswith(SQLITE) and not (path := Path(url.removeprefix(SQLITE))).is_file():
        raise StoreError(f"there is no prediction log at {path}: start the service, or give --prediction-log")
    return connect(url)
