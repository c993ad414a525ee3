"""What a machine may lack, and what a test does then."""

from typing import NoReturn

import pytest


def missing(request: pytest.FixtureRequest, what: str, reason: str) -> NoReturn:
    """Skip by name, or fail where `--require` says that `what` must be there."""
    if what in request.config.getoption("--require").split(","):
        pytest.fail(f"--require={what}: {reason}")
    pytest.skip(reason)
