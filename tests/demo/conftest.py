"""The demo as `make demo` builds it, of small models, behind a server of files; and its pages in a browser."""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkout import ROOT
from demo_answers import FILMS, PICTURES
from playwright.sync_api import Browser, Page, expect
from required import missing
from small_models import SmallModel


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, small_model: Callable[[str], SmallModel]) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for name in (PICTURES, FILMS):
        shutil.copytree(small_model(name).bundle, folder / name)
    return folder


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the demo, which lies below a prefix, as on GitHub Pages."""
    if shutil.which("npm") is None:
        missing(request, "npm", "no npm on PATH: install Node.js (Debian: apt-get install npm)")
    root = tmp_path_factory.mktemp("site")
    folders = ["--bundles", str(bundles), "--output", str(root / "portfolio" / "demo")]
    # In a process of its own: Playwright's event loop bars `asyncio.run`.
    subprocess.run([sys.executable, ROOT / "scripts" / "build_demo.py", "--any-data", *folders], check=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/portfolio/demo"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pages(browser: Browser, site: str) -> dict[str, Page]:
    """Both pages with their models loaded; the browser closes them."""
    opened = {name: browser.new_page() for name in (PICTURES, FILMS)}
    for name, page in opened.items():
        page.goto(f"{site}/{name}/")
        expect(page.get_by_test_id("demo-state")).to_have_text("The model is loaded.", timeout=60_000)
    return opened
