"""The demo service, for the tests of requests, limits and operations."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from demo_service import PAGE, DemoSettings, FakeHolder, create_app, serving


@pytest.fixture
def models() -> FakeHolder:
    return FakeHolder()


@pytest.fixture
def web(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "page.js").write_text("// nothing\n")
    return tmp_path


@pytest.fixture
def client(models: FakeHolder, web: Path) -> Iterator[httpx.Client]:
    settings = DemoSettings(max_body_bytes=2000, request_timeout_seconds=0.3, max_concurrent_requests=3)
    with serving(create_app(settings, models, web)) as client:
        yield client
