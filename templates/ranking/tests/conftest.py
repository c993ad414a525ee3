"""The small model, for the tests of the project's parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import SmallModel


@pytest.fixture(scope="session")
def trained(small_model: Callable[[str], SmallModel]) -> Any:
    return small_model("new-project").trained


@pytest.fixture(scope="session")
def bundle(small_model: Callable[[str], SmallModel]) -> Path:
    return small_model("new-project").bundle


@pytest.fixture
def events(tmp_path: Path) -> Callable[[str], str]:
    """Return a function: text -> the path of a file with it."""

    def write(text: str) -> str:
        path = tmp_path / "events.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
